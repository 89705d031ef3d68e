"""Decides whether the first observation of a task is an event."""

from datetime import datetime, timedelta

from service.domain.model import Cause, Kind, Observation
from service.store.accounts import AccountState

# How far another system's clock may be behind ours; and its times are in whole seconds.
_CLOCKS_DIFFER = timedelta(minutes=1)
# How far the first instant of a day, which stands for all of it, may be before what it stands for.
_A_DAY = timedelta(days=1)


def is_news(kind: Kind, seen: Observation, account: AccountState) -> bool:
    """Whether the first observation of a task is an event, or only a first observation.

    Whatever source reports it first, a change from before the account was added is imported
    silently. Until the baseline is complete, only a webhook causes events.
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
    """Whether an unknown task that is done was completed since Taskbell watches its account.

    If the system does not report the time of completion, this holds for a new task and for one from
    a webhook. A completion on the day of the baseline is ambiguous: then the task must have been
    created later.
    """
    if seen.task is None or _is_silent(seen, account):
        return False
    done_at, created, begun = seen.task.completed_at, seen.task.created_at, _begun(account)
    if done_at is None:
        is_known_whole = account.baseline_at is not None
        return (seen.pushed and is_known_whole) or _is_creation_news(seen, account)
    if _is_since(seen.completed_from or done_at, begun):
        return True
    # A task that is reported as new, without a date of creation, counts as created since.
    is_made_since = (
        seen.completed_from is not None if created is None else _is_since(created, begun)
    )
    return is_made_since and done_at >= begun - _A_DAY


def _is_silent(seen: Observation, account: AccountState) -> bool:
    """Whether the account's first sync is in progress and this observation is part of it."""
    return account.baseline_at is None and seen.cause is not Cause.WEBHOOK


def _begun(account: AccountState) -> datetime:
    """The baseline: tasks completed before it are stored as done, or are not listed at all."""
    return account.baseline_at or account.added_at


def _is_since(moment: datetime, begun: datetime) -> bool:
    return moment >= begun - _CLOCKS_DIFFER
