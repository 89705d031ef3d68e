"""A task that is seen for the first time: what of it is news."""

from datetime import datetime, timedelta

from service.domain.model import Cause, Kind, Observation
from service.store.accounts import AccountState

# How far another system's clock may be behind ours; and its times are in whole seconds.
_CLOCKS_DIFFER = timedelta(minutes=1)
# How far the first instant of a day, which stands for all of it, may be before what it stands for.
_A_DAY = timedelta(days=1)


def is_news(kind: Kind, seen: Observation, account: AccountState) -> bool:
    """Whether what is first seen of a task has just happened, or is only seen for the first time.

    Whichever road mentions it first, what is older than the account's entry in Taskbell is taken up
    silently. Until the baseline is complete, only a webhook can bring news.
    """
    if kind in seen.announced:
        return True
    if kind is Kind.COMPLETED:
        return _is_completion_news(seen, account)
    return _is_creation_news(seen, account)


def _is_creation_news(seen: Observation, account: AccountState) -> bool:
    if seen.task is None or _is_silent(seen, account):
        return False
    created = seen.task.created_at
    return created is None or _is_since(created, account.added_at)


def _is_completion_news(seen: Observation, account: AccountState) -> bool:
    """Whether a task that nobody knew, and is done, has been completed since there is Taskbell.

    Where the system does not say when, one that is new was, and one that was pushed. Of a
    completion on the baseline's day nobody knows: then a task made later decides.
    """
    if seen.task is None or _is_silent(seen, account):
        return False
    done_at, created, begun = seen.task.completed_at, seen.task.created_at, _begun(account)
    if done_at is None:
        is_known_whole = account.baseline_at is not None
        return (seen.pushed and is_known_whole) or _is_creation_news(seen, account)
    if _is_since(seen.completed_from or done_at, begun):
        return True
    # What is told as new without a date of its own was made since, as far as anybody knows.
    is_made_since = (
        seen.completed_from is not None if created is None else _is_since(created, begun)
    )
    return is_made_since and done_at >= begun - _A_DAY


def _is_silent(seen: Observation, account: AccountState) -> bool:
    """Whether the account's first reading goes on, of which only a webhook is no part."""
    return account.baseline_at is None and seen.cause is not Cause.WEBHOOK


def _begun(account: AccountState) -> datetime:
    """What was completed before then the baseline has as done, or does not list at all."""
    return account.baseline_at or account.added_at


def _is_since(moment: datetime, begun: datetime) -> bool:
    return moment >= begun - _CLOCKS_DIFFER
