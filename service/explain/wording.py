"""What is explained, in words: when an alarm rings or why not, and the values of a condition."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import orjson

from service.domain.alarms import Alarm, was_announced
from service.domain.model import Task
from service.domain.task_dates import is_day, moment_of, value_of
from service.rules.language.date_format import shown
from service.rules.language.tracing import Trace, TraceStatus
from service.store.tasks import TaskState

_AT_ONCE = "it rings as soon as a worker looks at the clock"
_WITH_THE_ACCOUNT = "it waits with all that is due of the account, as said above"


def next_ring(
    alarm: Alarm, known: TaskState, zone: ZoneInfo, now: datetime, *, at_once: bool = True
) -> str:
    """When the alarm rings, or why it does not, in the account's zone.

    Not `at_once` where its account is not to be relied on before it was read.
    """
    task = known.present
    if task is None or not task.is_open:
        return f"the task is {standing(task)}, and the clock looks at open tasks only"
    at = alarm.instant(task, zone)
    if at is None:
        return _without_moment(alarm, task, zone)
    if at > now and not was_announced(alarm, at, known.announced_until):
        return f"rings {told(at, zone)}, if the task is open then and its {alarm.field} stays"
    was = f"its moment was {told(at, zone)}"
    if was_announced(alarm, at, known.announced_until):
        return f"{was}; for this {alarm.field} date it does not ring again"
    if alarm.is_pointless(task, now, zone):
        return f"{was}; now it is too late for it"
    return f"{was}; {_AT_ONCE if at_once else _WITH_THE_ACCOUNT}"


def _without_moment(alarm: Alarm, task: Task, zone: ZoneInfo) -> str:
    """Why an alarm has no moment to ring at: its date is missing, no date, or a whole day."""
    if alarm.lacks_time(task):
        return (
            f"it counts from the time of {alarm.field}, which is the whole of"
            f" {date_shown(task, alarm.field, zone)}; a reminder with `at:` rings for such a task"
        )
    value = value_of(task, alarm.field)
    if value is None:
        return f"it rings by the date {alarm.field}, which the task does not have"
    return f"it rings by the date {alarm.field}, and {value!r} is no date that can be counted from"


def standing(task: Task | None) -> str:
    """How a task stands; None is one that is gone."""
    if task is None:
        return "deleted"
    return "done" if task.done else "archived" if task.archived else "open"


def date_shown(task: Task, name: str, zone: ZoneInfo) -> str:
    """A date of a task, without a clock time where it is a day."""
    moment = moment_of(task, name, zone)
    return "" if moment is None else shown(moment, zone, is_day=is_day(task, name))


def told(moment: datetime, zone: ZoneInfo) -> str:
    """A moment in a zone, as templates show it."""
    return shown(moment, zone)


def rows(trace: Trace, zone: ZoneInfo, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Each part of a condition and its value, parts indented below the whole; dates in `zone`."""
    yield f"{'  ' * depth}{' '.join(trace.text.split())}", _value(trace, zone)
    for part in trace.parts:
        yield from rows(part, zone, depth + 1)


def _value(trace: Trace, zone: ZoneInfo) -> str:
    match trace.finding:
        case TraceStatus.NOT_NEEDED:
            return "not needed"
        case TraceStatus.MISSING:
            return "nothing"
        case TraceStatus.FAILED:
            return f"has no value: {trace.reason}"
    if isinstance(trace.value, datetime):
        return told(trace.value, zone)
    if isinstance(trace.value, timedelta):
        return str(trace.value)
    return orjson.dumps(trace.value, default=str).decode()
