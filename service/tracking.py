"""How one look at a task changes what is known of it: pure, and the same for every road.

Whether a look is stale, whether a task that nobody knew is news, and what happened: all of it is
decided here, from what is known and what was seen.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from service.alarms import Rung, moved
from service.diff import Transition, diff
from service.model import Cause, Observation, Task
from service.store.accounts import AccountState
from service.store.tasks import Known

# By so much another system's clock may be behind ours; and its stamps are whole seconds.
_CLOCKS_DIFFER = timedelta(minutes=1)
# And by so much its stamps may be ahead, if they are read in another zone than they are meant.
_ZONES_DIFFER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Step:
    """What is known after a look, and what happened since the one before."""

    known: Known
    transitions: list[Transition]


def track(
    known: Known,
    seen: Observation,
    account: AccountState,
    fields: Iterable[str],
    now: datetime,
) -> Step | None:
    """Take in one look; None if it is stale and says nothing about the present.

    `fields` are the dates that the clock watches: for a task that is taken up in silence, what
    is past has been rung.
    """
    if is_stale(known, seen):
        return None
    before = known.present
    if before is None and seen.task is None:
        return Step(_still_gone(known, seen, now), [])
    silent = before is None and not _is_news(known, seen, account)
    return Step(
        Known(
            task=seen.task or known.task,
            deleted_at=now if seen.task is None else None,
            version=seen.version or known.version,
            observed_at=seen.observed_at,
            fingerprint=seen.fingerprint,
            rung=dict.fromkeys(fields, now) if silent else _rung(known, seen),
            watch=known.watch,
        ),
        [] if silent else diff(before, seen.task),
    )


def _still_gone(known: Known, seen: Observation, now: datetime) -> Known:
    """What is known of a task that there is not, so that an older look does not bring it back.

    Also of one that was never seen: it may be on its way here from before it was deleted.
    """
    return replace(known, deleted_at=known.deleted_at or now, observed_at=seen.observed_at)


def filled_in(known: Known, seen: Observation) -> Observation:
    """The same look, with what it leaves open as it was last known.

    Left open are the fields that it calls `untold`, and everything about a customer of whom it
    has the id alone: their name stands elsewhere in the system and could not be read, which is no
    news of them.
    """
    if seen.task is None or known.task is None:
        return seen
    last = {name: getattr(known.task, name) for name in seen.untold}
    if _is_known_by_id(known.present, seen.task):
        last["customer"] = known.task.customer
    return replace(seen, task=replace(seen.task, **last)) if last else seen


def _is_known_by_id(before: Task | None, task: Task) -> bool:
    """Whether all that a look tells of the customer is that it is still the same one."""
    if before is None or before.customer is None or task.customer is None:
        return False
    return task.customer.is_reference and task.customer.id == before.customer.id


def is_doubtful(known: Known, seen: Observation, account: AccountState) -> bool:
    """Whether only the system itself can say which is newer, what is known or what was seen.

    What was pushed may have been on its way for long. What was asked for before the last complete
    scan is older than what that confirmed, if it covers the task. Where no version tells, and for
    a task that was gone, both are no more than a reason to look. That goes for what agrees with
    what is known as well: else it would make a look stale that is under way and sees what came
    since.
    """
    if not seen.pushed and not _is_overtaken(known, seen, account):
        return False
    if known.observed_at is None or seen.observed_at < known.observed_at:
        return False
    if known.present is None or known.version is None or seen.version is None:
        return True
    return known.version == seen.version and seen.task != known.present


def _is_overtaken(known: Known, seen: Observation, account: AccountState) -> bool:
    if known.present is None or account.scanned_at is None:
        return False
    return seen.observed_at < account.scanned_at


def is_stale(known: Known, seen: Observation) -> bool:
    """Whether something newer is known already.

    The system's own version decides where both have one and they differ, unless it is of a day
    still to come: whatever clock wrote that would keep all changes from being seen until then.
    Else the moment decides at which the look was asked for.
    """
    if known.observed_at is None:
        return False
    version = known.version
    if version and version >= known.observed_at + _ZONES_DIFFER:
        version = None
    if known.present and version and seen.version and version != seen.version:
        return seen.version < version
    return seen.observed_at < known.observed_at


def _is_news(known: Known, seen: Observation, account: AccountState) -> bool:
    """Whether a task that was not there is a creation, or only seen here for the first time.

    A task that is older than the account's own entry is taken up in silence, whichever road
    mentions it first. Until the baseline is complete only a webhook can bring news.
    """
    if seen.announced or known.task is not None:
        return True
    if seen.task is None:
        return False
    created = seen.task.created_at
    is_older = created is not None and created < account.added_at - _CLOCKS_DIFFER
    return not is_older and (account.baseline_at is not None or seen.cause is Cause.WEBHOOK)


def _rung(known: Known, seen: Observation) -> Rung:
    return known.rung if seen.task is None else moved(known.present, seen.task, known.rung)


def with_rung(known: Known, fields: Iterable[str], now: datetime) -> Known:
    """The same task, with the clock rung up to now for these dates.

    A worker whose clock is a little behind another's takes nothing back.
    """
    lines = {field: max(now, known.rung.get(field, now)) for field in fields}
    return replace(known, rung={**known.rung, **lines})
