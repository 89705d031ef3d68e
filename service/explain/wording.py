"""Texts of explanations: when an alarm is due or why not, and the values of a condition."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import orjson

from service.domain.alarms import Alarm, was_announced
from service.domain.model import Task
from service.domain.task_dates import is_day, moment_of, value_of
from service.rules.language.date_format import shown
from service.rules.language.trace import Trace, TraceStatus
from service.store.tasks import TaskState

_AT_ONCE = "it will act at the next check"
_WITH_THE_ACCOUNT = "it waits with everything else due in this account (see above)"


def next_ring(
    alarm: Alarm, known: TaskState, zone: ZoneInfo, now: datetime, *, at_once: bool = True
) -> str:
    """When the alarm fires, or why it does not, in the account's zone.

    Not `at_once` if its account waits for a full sync.
    """
    task = known.present
    if task is None or not task.is_open:
        return f"the task is {standing(task)}; time-based rules apply to open tasks only"
    at = alarm.instant(task, zone)
    if at is None:
        return _without_moment(alarm, task, zone)
    if at > now and not was_announced(alarm, at, known.announced_until):
        still = f"the task is still open and its {alarm.field} date has not changed"
        return f"acts {told(at, zone)} if {still}"
    was = f"it was due {told(at, zone)}"
    if was_announced(alarm, at, known.announced_until):
        return f"{was} and has already acted for this {alarm.field} date"
    if alarm.is_pointless(task, now, zone):
        return f"{was}; it is too late now"
    return f"{was}; {_AT_ONCE if at_once else _WITH_THE_ACCOUNT}"


def _without_moment(alarm: Alarm, task: Task, zone: ZoneInfo) -> str:
    """Why an alarm has no time: its date is missing, is not a date, or has no time of day."""
    if alarm.lacks_time(task):
        return (
            f"this rule needs a time in {alarm.field}, but the task has only a date there"
            f" ({date_shown(task, alarm.field, zone)}). Use a reminder with `at:` for such tasks"
        )
    value = value_of(task, alarm.field)
    if value is None:
        return f"this rule needs the date {alarm.field}, which the task does not have"
    return f"this rule needs a date in {alarm.field}, and {value!r} is not a date that it can use"


def standing(task: Task | None) -> str:
    """The state of a task; None is a deleted one."""
    if task is None:
        return "deleted"
    return "done" if task.done else "archived" if task.archived else "open"


def date_shown(task: Task, name: str, zone: ZoneInfo) -> str:
    """A date of a task, without a time of day if it is a day."""
    moment = moment_of(task, name, zone)
    return "" if moment is None else shown(moment, zone, is_day=is_day(task, name))


def told(moment: datetime, zone: ZoneInfo) -> str:
    """A time in a zone, as templates show it."""
    return shown(moment, zone)


def rows(trace: Trace, zone: ZoneInfo, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Each part of a condition and its value, parts indented below the whole; dates in `zone`."""
    yield f"{'  ' * depth}{' '.join(trace.text.split())}", shown_value(trace, zone)
    for part in trace.parts:
        yield from rows(part, zone, depth + 1)


def shown_value(trace: Trace, zone: ZoneInfo) -> str:
    """The value of a part of a condition; dates in `zone`."""
    match trace.finding:
        case TraceStatus.NOT_NEEDED:
            return "not checked"
        case TraceStatus.MISSING:
            return "empty"
        case TraceStatus.FAILED:
            return f"has no value: {trace.reason}"
    if isinstance(trace.value, datetime):
        return told(trace.value, zone)
    if isinstance(trace.value, timedelta):
        return str(trace.value)
    return orjson.dumps(trace.value, default=str).decode()
