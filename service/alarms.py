"""When the clock has something to say about a task: pure arithmetic on its dates.

An alarm is derived from the task's state and never stored: what is stored is how far, per date
field, the clock has already been rung (`rung`), so that a task that has not moved rings each
alarm once, and a task that has moved rings anew.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from service.days import is_same_day
from service.model import DAYS, TIMES, Kind, Task

Rung = Mapping[str, datetime]
"""Up to where a task has been announced, by its date field; by an alarm's `mark` for that alone."""

_BEFORE = re.compile(r"[a-z_]+:([a-z_]+)-")
_WRITTEN = re.compile(r"[a-z_]+:([a-z_]+)[+-]")


@dataclass(frozen=True, slots=True, order=True)
class Alarm:
    """Something to announce at `offset` from a date field of every task that has it.

    `offset` is signed: negative is before the date. With `at`, the alarm rings at that time of
    the account's local day on which the shifted date falls.
    """

    kind: Kind
    field: str
    offset: timedelta
    at: time | None = None

    def __str__(self) -> str:
        clock = f"@{self.at:%H:%M}" if self.at else ""
        return f"{self.kind}:{self.field}{int(self.offset.total_seconds()):+d}s{clock}"

    @property
    def mark(self) -> str:
        """The name under which it alone is rung, where its date is not."""
        return f"{self.field} {self}"

    def instant(self, task: Task, zone: ZoneInfo) -> datetime | None:
        """When this alarm rings for this task, in UTC.

        None for a task without that date, or with one so far off that the calendar ends before; and
        where it counts from a time of day that nobody has said.
        """
        anchor: datetime | None = getattr(task, self.field)
        if anchor is None or self.lacks_time(task):
            return None
        try:
            return self._from(anchor, zone)
        except OverflowError:
            return None

    def lacks_time(self, task: Task) -> bool:
        """Whether it counts from a time that the task does not have: it begins or ends on a day.

        Half an hour before a day begins is in the night. A task that is due on a day is due at a
        time, which is the account's.
        """
        if self.at is not None or self.field == OVERDUE.field or self.field not in DAYS:
            return False
        return bool(getattr(task, DAYS[self.field]))

    def _from(self, anchor: datetime, zone: ZoneInfo) -> datetime:
        if self.at is None:
            return anchor + self.offset
        # By the local calendar: the day before is that also where a day has 23 or 25 hours.
        day = anchor.astimezone(zone) + self.offset
        return day.replace(
            hour=self.at.hour, minute=self.at.minute, second=0, microsecond=0, fold=0
        ).astimezone(anchor.tzinfo)

    def is_pointless(self, task: Task, now: datetime) -> bool:
        """Whether announcing it now would be untrue: what is past is not about to begin."""
        anchor: datetime = getattr(task, self.field)
        return self.offset < timedelta(0) and anchor <= now


def date_of(alarm: str | None) -> str | None:
    """The date field that an event's `alarm` counts from; None where that is no alarm."""
    found = _WRITTEN.match(alarm or "")
    return None if found is None else found[1]


def missed(alarm: str | None, task: Task, now: datetime) -> tuple[str, datetime] | None:
    """The date before which an event's `alarm` had to ring, if that is past: its field, and it."""
    found = _BEFORE.match(alarm or "")
    date: datetime | None = None if found is None else getattr(task, found[1])
    return (found[1], date) if found is not None and date is not None and date <= now else None


OVERDUE = Alarm(Kind.OVERDUE, "due", timedelta(0))


@dataclass(frozen=True, slots=True)
class Ringing:
    """One alarm of one task that is due, and the moment it was due at."""

    alarm: Alarm
    at: datetime


def due(
    task: Task, alarms: Iterable[Alarm], zone: ZoneInfo, rung: Rung, now: datetime
) -> list[Ringing]:
    """The alarms of an open task that have come and were not rung yet, oldest first.

    Among them are those for which it is too late: they were missed, and that is to be on record.
    Nothing was missed before a date that was past when it was set, as far as anybody can tell.
    """
    if not task.is_open:
        return []
    ringing = [
        Ringing(alarm, at)
        for alarm in alarms
        if (at := alarm.instant(task, zone)) is not None
        and at <= now
        and not was_rung(alarm, at, rung)
        and not (alarm.is_pointless(task, now) and _was_too_late(alarm.field, task, rung, at))
    ]
    return sorted(ringing, key=lambda one: (one.at, one.alarm.kind, one.alarm.offset))


def _was_too_late(field: str, task: Task, rung: Rung, at: datetime) -> bool:
    """Whether a date was past when Taskbell saw it set, and may have been set after `at`.

    It was not if its system says that the task has not changed since then: nobody was looking.
    """
    changed = task.updated_at or task.created_at
    return _belated(field) in rung and (changed is None or changed > at)


def next_alarm(task: Task, alarms: Iterable[Alarm], zone: ZoneInfo, rung: Rung) -> datetime | None:
    """When the clock has to look at this task next; None if nothing is left to say about it."""
    if not task.is_open:
        return None
    instants = (
        at
        for alarm in alarms
        if (at := alarm.instant(task, zone)) is not None and not was_rung(alarm, at, rung)
    )
    return min(instants, default=None)


def moved(before: Task | None, after: Task, rung: Rung) -> Rung:
    """What stays rung after a change: a date that moved has not been announced yet.

    A day that only comes down to another moment has not moved.
    """
    if before is None:
        return rung
    if before.done != after.done:
        return {}
    kept = ((mark, _carried(until, before, after, mark)) for mark, until in rung.items())
    return {mark: until for mark, until in kept if until is not None}


def _carried(until: datetime, before: Task, after: Task, mark: str) -> datetime | None:
    """Up to where a date has been announced once it is another one; None if it has not been."""
    old, new = _date(before, mark), _date(after, mark)
    if old == new:
        return until
    name = mark.partition(" ")[0]
    if old is None or new is None or name not in DAYS or not is_same_day(before, after, name):
        return None
    return max(until, new) if old <= until else until


def belated(before: Task | None, after: Task, fields: Iterable[str], now: datetime) -> Rung:
    """The marks of dates that are past as they are set, or as their task is opened anew."""
    if not after.is_open:
        return {}
    is_opened = before is None or not before.is_open
    return {
        _belated(field): now
        for field in fields
        if (date := _date(after, field)) is not None
        and date <= now
        and (is_opened or before is None or _date(before, field) != date)
    }


def taken_up(task: Task, fields: Iterable[str], now: datetime) -> Rung:
    """What counts as announced of a task that is taken up in silence.

    That is all that was due by now and, of a date that is past by now, whatever is counted from
    it: also what some rule wants to have told days later.
    """
    lines = dict.fromkeys(fields, now)
    if not task.is_open:
        return lines
    dates = ((field, _date(task, field)) for field in TIMES)
    past = {_bygone(field): now for field, date in dates if date is not None and date <= now}
    return {**lines, **past}


def was_rung(alarm: Alarm, at: datetime, rung: Rung) -> bool:
    """Whether this alarm, which is due at `at`, has been announced, or never is to be."""
    if _bygone(alarm.field) in rung:
        return True
    until = rung.get(alarm.field)
    if until is None or until < at:
        until = rung.get(alarm.mark)
    return until is not None and at <= until


def _belated(field: str) -> str:
    """The mark of a date that was past already when it was set: nothing is missed before it."""
    return f"{field} belated"


def _bygone(field: str) -> str:
    """The mark of a date that was past already when its task was taken up."""
    return f"{field} bygone"


def _date(task: Task, mark: str) -> datetime | None:
    date: datetime | None = getattr(task, mark.partition(" ")[0])
    return date
