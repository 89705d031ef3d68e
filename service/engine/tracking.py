"""Updates the known state of a task by one observation: pure functions, for every source.

They decide from the known state and the observation: whether the observation is stale, whether an
unknown task is new or only observed for the first time, and which changes happened.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.alarms import AnnouncedUntil, WatchedDates
from service.domain.days import Calendar
from service.domain.diff import Transition, diff, still_acknowledged
from service.domain.directory import NOBODY, Directory, as_reported
from service.domain.model import (
    DAYS,
    Cause,
    Customer,
    Kind,
    Observation,
    Task,
)
from service.domain.people import is_same, recognised
from service.domain.recurrence import ConfirmedCompletions, is_same_completion
from service.domain.signals import Acknowledgement
from service.engine.first_sight import is_news
from service.store.accounts import AccountState
from service.store.tasks import TaskState

# How far its times may be ahead, if they are read in another zone than they were written in.
_ZONES_DIFFER = timedelta(days=1)
_NOTHING_CONFIRMED = ConfirmedCompletions()
# How long after a change was seen a copy of the system's database may still show what was before.
_LAG = timedelta(minutes=3)
# What the account itself has of a customer: some of a system's answers leave it out.
_OF_CUSTOMERS = ("tags", "groups", "fields")


@dataclass(frozen=True, slots=True)
class Tracked:
    """The state of a task after an observation, and its transitions since the previous one."""

    known: TaskState
    transitions: list[Transition]


def track(
    known: TaskState,
    seen: Observation,
    account: AccountState,
    dates: WatchedDates,
    now: datetime,
    confirmed: ConfirmedCompletions = _NOTHING_CONFIRMED,
) -> Tracked | None:
    """Process one observation; None if it is stale.

    `dates` are the dates that alarms count from. For a task that is imported silently, past alarms
    count as announced, and so do all alarms that count from a past date. `confirmed` are
    completions of a recurring task, which is open again in this observation.
    """
    if is_stale(known, seen):
        return None
    before = known.present
    if before is None and seen.task is None:
        return Tracked(_still_gone(known, seen, now), [])
    done = [Transition(Kind.COMPLETED, ("done",), one) for one in confirmed.done]
    transitions = [*done, *_unreported(known, seen, diff(before, seen.task, known.task))]
    if known.task is None:
        transitions = [one for one in transitions if is_news(one.kind, seen, account)]
    is_taken_up = known.task is None and Transition(Kind.CREATED) not in transitions
    if before is None and seen.came_into_sight:
        transitions, is_taken_up = [], True
    return Tracked(
        TaskState(
            task=seen.task or known.task,
            deleted_at=now if seen.task is None else None,
            version=_newest(known, seen),
            observed_at=seen.observed_at,
            fingerprint=seen.fingerprint,
            announced_until=_announced_until(known, seen, dates, now, silent=is_taken_up),
            alarm_set=known.alarm_set,
            unread=seen.unread,
            told=confirmed.reported or known.told,
        ),
        transitions,
    )


def _unreported(known: TaskState, seen: Observation, found: list[Transition]) -> list[Transition]:
    """The transitions, without a completion that was reported when the task was still open."""
    before, after = known.present, seen.task
    if before is None or after is None or not after.done or before.done:
        return found
    is_announced = Kind.COMPLETED in seen.announced
    if not is_same_completion(
        before, after, known.told, seen.observed_at, is_announced=is_announced
    ):
        return found
    return [one for one in found if one.kind is not Kind.COMPLETED]


def shown(seen: Observation) -> frozenset[Kind]:
    """The announced changes that this observation confirms, as a permanent state or a new event."""
    if seen.task is None:
        return frozenset({Kind.DELETED})
    return frozenset({Kind.CREATED, Kind.COMPLETED} if seen.task.done else {Kind.CREATED})


def _still_gone(known: TaskState, seen: Observation, now: datetime) -> TaskState:
    """The state of a task that does not exist, kept so that no older observation restores it.

    A task that was never observed is kept, too: an observation from before its deletion may still
    arrive.
    """
    return replace(known, deleted_at=known.deleted_at or now, observed_at=seen.observed_at)


def acknowledged(known: TaskState, said: Acknowledgement) -> TaskState | None:
    """The state of a task after a person acknowledged it; None if that is no news about it."""
    task = known.present
    if task is None or task.done or task.acknowledged:
        return None
    return replace(known, task=replace(task, acknowledged=True, acknowledged_by=said.by))


def with_known_fields(
    known: TaskState, seen: Observation, people: Directory = NOBODY
) -> Observation:
    """The observation, with its missing fields filled from the known state and the directory.

    The known state provides the fields in `untold`, and missing details of known people: a webhook,
    or the response to a write, often has only their ids. Details that the system has never reported
    come from the directory. That a person has acknowledged the task no system knows.
    """
    if seen.task is None:
        return seen
    task = (
        seen.task if known.task is None else _recognised(as_reported(known.task), seen, seen.task)
    )
    task = people.filled(task)
    if known.present is not None:
        task = still_acknowledged(known.present, task)
    return seen if task is seen.task else replace(seen, task=task)


def _recognised(known: Task, seen: Observation, task: Task) -> Task:
    whole = {name for name in seen.untold if "." not in name} - {"fields"}
    untold = {*whole, *(DAYS[name] for name in whole & DAYS.keys())}
    last = {name: getattr(known, name) for name in untold}
    task = replace(task, **last) if last else task
    if seen.untold - whole:
        task = _with_parts(known, task, seen.untold - whole)
    is_part = seen.pushed or seen.cause is Cause.WRITE
    others = () if "customer" in last else seen.customers
    return recognised(known, task, others, is_part=is_part)


def _with_parts(known: Task, task: Task, untold: AbstractSet[str]) -> Task:
    """The task, with missing values of `fields` and of the customer from the known state.

    The values of another project or customer are not used.
    """
    kept: Mapping[str, Any] = {}
    if "fields" in untold:
        kept = known.fields
    elif is_same(known.project, task.project):
        kept = {name: one for name, one in known.fields.items() if f"fields.{name}" in untold}
    if kept:
        task = replace(task, fields={**kept, **task.fields})
    if (customer := _customer_with_parts(known, task.customer, untold)) is not task.customer:
        task = replace(task, customer=customer)
    if "customer.opted_out" not in untold or task.customer is None or known.customer is None:
        return task
    is_out = known.customer.opted_out and is_same(known.customer, task.customer)
    return replace(task, customer=replace(task.customer, opted_out=True)) if is_out else task


def _customer_with_parts(
    known: Task, customer: Customer | None, untold: AbstractSet[str]
) -> Customer | None:
    """The customer, with the known tags, groups and fields that are in `untold`."""
    last, kept = known.customer, {one for one in _OF_CUSTOMERS if f"customer.{one}" in untold}
    if not kept or customer is None or last is None or not is_same(last, customer):
        return customer
    parts = {name: getattr(last, name) for name in kept}
    if "fields" in parts:
        parts["fields"] = {**last.fields, **customer.fields}
    return replace(customer, **parts)


def on_its_day(known: TaskState, seen: Observation, zone: ZoneInfo) -> Observation:
    """The observation, with a time for a completion of which the system reports only the day.

    That is the time when the task was first observed as completed, if that was on this day. But a
    task that is completed on its due day is not late, and it is not completed before it was
    created.
    """
    task = seen.task
    if task is None or task.completed_at is None or not task.completed_at_is_day:
        return seen
    calendar = Calendar(zone)
    day = calendar.day_of(task.completed_at)
    at = _completion_known(known.present, day, calendar)
    at = at or _completion_seen(task, day, seen.observed_at, calendar)
    begins = calendar.moment(day, "start")
    return replace(seen, task=replace(task, completed_at=at), completed_from=begins)


def _completion_known(before: Task | None, day: date, calendar: Calendar) -> datetime | None:
    """The time that was set for a completion on that day; None if the completion is new."""
    if before is None or before.completed_at is None or not before.completed_at_is_day:
        return None
    return before.completed_at if calendar.day_of(before.completed_at) == day else None


def _completion_seen(task: Task, day: date, seen_at: datetime, calendar: Calendar) -> datetime:
    at = calendar.within(seen_at, day)
    if task.due is None or calendar.day_of(task.due) != day:
        return at
    return min(at, max(task.due, task.created_at or task.due))


def needs_reread(known: TaskState, seen: Observation, account: AccountState) -> bool:
    """Whether the task must be re-read to decide which state is newer, the known or the observed.

    - A webhook may have been delayed for long, and an observation that was requested before the
      last full sync is older than its result, if the sync covers the task. Unless a newer version
      decides, and always for a deleted task, either one only causes a re-read.
    - Either one does so also if it agrees with the known state: stored as an observation, it would
      make a more recent one stale that is in progress.
    - A newer version from a webhook does not decide if an older one was read after the webhook
      came: the system may lag behind, or was restored from a backup.
    """
    if not seen.pushed and not _is_overtaken(known, seen, account):
        return False
    if known.observed_at is None:
        return False
    if seen.observed_at < known.observed_at:
        return seen.pushed and _is_newer(known, seen)
    version = _version(known)
    if known.present is None or version is None or seen.version is None:
        return True
    return seen.version <= version and seen.task != known.present


def has_version_conflict(known: TaskState, seen: Observation) -> bool:
    """Whether a later observation shows an older version of the task with different content.

    This happens if a system was restored from a backup, or writes local time in the repeated hour
    of a clock change; but also if a replica of its database lags behind. So the task is read again
    after a pause, and the result of that is accepted.
    """
    if seen.pushed or known.observed_at is None or not _is_older(known, seen):
        return False
    if seen.observed_at < known.observed_at:
        return False
    if seen.confirms and seen.observed_at >= known.observed_at + _LAG:
        return False
    return bool(diff(known.present, seen.task))


def counts_from(known: TaskState, now: datetime) -> datetime:
    """From when on an older version than the known one is accepted."""
    return now if known.observed_at is None else known.observed_at + _LAG


def _is_overtaken(known: TaskState, seen: Observation, account: AccountState) -> bool:
    if known.present is None or account.scanned_at is None:
        return False
    return seen.observed_at < account.scanned_at


def is_stale(known: TaskState, seen: Observation) -> bool:
    """Whether a newer state is already known.

    A newer version number of the system is newer, whenever it was requested. Otherwise the time of
    the request decides. An older version is accepted only if it is uncontested: not from a webhook,
    which may have been delayed for an unknown time.
    """
    if known.observed_at is None:
        return False
    if _is_newer(known, seen):
        return False
    if seen.observed_at < known.observed_at:
        return True
    return _is_older(known, seen) and (seen.pushed or has_version_conflict(known, seen))


def _is_newer(known: TaskState, seen: Observation) -> bool:
    version = _version(known)
    return bool(known.present and version and seen.version and seen.version > version)


def _is_older(known: TaskState, seen: Observation) -> bool:
    version = _version(known)
    return bool(known.present and version and seen.version and seen.version < version)


def _version(known: TaskState) -> datetime | None:
    """The known version; None if it is a day ahead, as it would hide all changes until then."""
    if known.version is None or known.observed_at is None:
        return known.version
    return None if known.version >= known.observed_at + _ZONES_DIFFER else known.version


def _newest(known: TaskState, seen: Observation) -> datetime | None:
    """The newest version so far: when an older one is accepted, this one is outdated data."""
    versions = [one for one in (_version(known), seen.version) if one is not None]
    return max(versions, default=None)


def _announced_until(
    known: TaskState, seen: Observation, dates: WatchedDates, now: datetime, *, silent: bool
) -> AnnouncedUntil:
    """The new `announced_until`; for a task that is restored or unarchived, past alarms count."""
    if seen.task is None:
        return known.announced_until
    if silent:
        return dates.taken_up(seen.task, now)
    announced_until = {
        **dates.moved(known.task, seen.task, known.announced_until),
        **dates.belated(known.present, seen.task, now),
    }
    if known.task is None:
        return announced_until
    is_back = known.present is None or (known.task.archived and not seen.task.archived)
    if not is_back:
        return announced_until
    ahead = {name: at for name, at in announced_until.items() if at > now}
    return {**dict.fromkeys(dates.names, now), **ahead}
