"""When the alarms of a task are due: pure arithmetic on its dates.

An alarm is derived from the task's state and never stored. Stored is up to when each date field has
been announced (`announced_until`), so that each alarm fires once per date, and again if the date is
moved.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from service.domain import written_dates
from service.domain.days import is_same_day
from service.domain.model import DAYS, TIMES, Kind, Task
from service.domain.task_dates import FIELDS, is_day, moment_of, value_of

CLOCK_KINDS = frozenset(
    {Kind.DUE_SOON, Kind.OVERDUE, Kind.STARTING_SOON, Kind.REMINDER, Kind.SCHEDULED}
)
"""The events that the clock brings about."""

AnnouncedUntil = Mapping[str, datetime]
"""Up to where a task has been announced, by its date field; by an alarm's `mark` for that alone."""

# An alarm as text. The name of a custom field may have any characters: what is around it is read.
_WRITTEN = re.compile(r"[a-z_]+:(?P<field>.+)(?P<sign>[+-])\d+(?:s|bd)(?:@\d\d:\d\d)?")
_BELATED, _BYGONE = " belated", " bygone"
ALARM_MARK = rf"({_BELATED}|{_BYGONE}| [a-z_]+:.+[-+][0-9]+(s|bd)(@[0-9:]+)?)$"
"""What is at the end of a mark that is not a date alone: a pattern for Python and PostgreSQL."""
_MARK = re.compile(f"(?P<field>.+?)(?:{ALARM_MARK})")


class OpenDays(Protocol):
    """Opening hours, as far as alarms need them: they take too long to import for some commands."""

    def day_away(self, day: date, days: int, zone: ZoneInfo) -> date | None:
        """The open day so many open days after a day, or before it if `days` is negative."""


@dataclass(frozen=True, slots=True, order=True)
class Alarm:
    """An alarm for every task with this date, `offset` from it.

    `field` is one of the task's own dates, or a custom one such as `fields.renewal`. `offset` is
    signed: negative is before the date. With `at`, the alarm fires at that time of the account's
    local day on which the shifted date falls.

    If it `is_business`, the days of the offset are those on which these `hours` are open.
    """

    kind: Kind
    field: str
    offset: timedelta
    at: time | None = None
    is_business: bool = False
    hours: OpenDays | None = None

    def __str__(self) -> str:
        clock = f"@{self.at:%H:%M}" if self.at else ""
        if self.is_business:
            return f"{self.kind}:{self.field}{self.offset.days:+d}bd{clock}"
        return f"{self.kind}:{self.field}{int(self.offset.total_seconds()):+d}s{clock}"

    @property
    def mark(self) -> str:
        """The key in `announced_until` for this alarm alone, instead of all alarms of its date."""
        return f"{self.field} {self}"

    def instant(self, task: Task, zone: ZoneInfo) -> datetime | None:
        """When this alarm fires for this task, in UTC.

        None for a task without that date, or with one outside the range of the calendar; and if it
        counts from a time of day that is not known.
        """
        anchor = moment_of(task, self.field, zone)
        if anchor is None or self.lacks_time(task):
            return None
        try:
            return self._from(anchor, zone)
        except OverflowError:
            return None

    def lacks_time(self, task: Task) -> bool:
        """Whether it counts from a time that the task does not have: it begins or ends on a day.

        Half an hour before a day begins is in the night. A task that is due on a day is due at a
        time, which is set for the account.
        """
        return self.at is None and self.field != OVERDUE.field and is_day(task, self.field)

    def _from(self, anchor: datetime, zone: ZoneInfo) -> datetime | None:
        if self.is_business:
            return self._on_open_day(anchor.astimezone(zone), zone)
        if self.at is None:
            return anchor + self.offset
        # By the local calendar: the day before is that also where a day has 23 or 25 hours.
        day = anchor.astimezone(zone) + self.offset
        return day.replace(
            hour=self.at.hour, minute=self.at.minute, second=0, microsecond=0, fold=0
        ).astimezone(anchor.tzinfo)

    def _on_open_day(self, anchor: datetime, zone: ZoneInfo) -> datetime | None:
        """At its time, or that of the date, on a day so many open days away."""
        if self.hours is None:
            return None
        day = self.hours.day_away(anchor.date(), self.offset.days, zone)
        if day is None:
            return None
        clock = self.at or anchor.time().replace(fold=0)
        return datetime.combine(day, clock, zone).astimezone(UTC)

    def is_pointless(self, task: Task, now: datetime, zone: ZoneInfo) -> bool:
        """Whether announcing it now would be wrong: a past date is no longer in the future."""
        anchor = moment_of(task, self.field, zone)
        return self.offset < timedelta(0) and anchor is not None and anchor <= now


def date_of(alarm: str | None) -> str | None:
    """The date that an event's `alarm` counts from; None if that is not an alarm."""
    found = _WRITTEN.fullmatch(alarm) if alarm else None
    return None if found is None else found["field"]


def missed(
    alarm: str | None, task: Task, now: datetime, zone: ZoneInfo
) -> tuple[str, datetime] | None:
    """The date before which an event's `alarm` should have fired, if it is past: field and time."""
    announced = announced_by(alarm, task, zone)
    return announced if announced is not None and announced[1] <= now else None


def announced_by(alarm: str | None, task: Task, zone: ZoneInfo) -> tuple[str, datetime] | None:
    """The future date that an event's `alarm` announces: field and time."""
    found = _WRITTEN.fullmatch(alarm) if alarm else None
    if found is None or found["sign"] != "-":
        return None
    date = moment_of(task, found["field"], zone)
    return None if date is None else (found["field"], date)


OVERDUE = Alarm(Kind.OVERDUE, "due", timedelta(0))


@dataclass(frozen=True, slots=True)
class DueAlarm:
    """One alarm of one task that is due, and when it was due."""

    alarm: Alarm
    at: datetime


def due(
    task: Task,
    alarms: Iterable[Alarm],
    zone: ZoneInfo,
    announced_until: AnnouncedUntil,
    now: datetime,
) -> list[DueAlarm]:
    """The alarms of an open task that are due and have not fired, oldest first.

    They include alarms that are too late: these were missed, and are recorded. An alarm before a
    date that was already past when it was set was not missed.
    """
    if not task.is_open:
        return []
    ringing = [
        DueAlarm(alarm, at)
        for alarm in alarms
        if (at := alarm.instant(task, zone)) is not None
        and at <= now
        and not was_announced(alarm, at, announced_until)
        and not (
            alarm.is_pointless(task, now, zone)
            and _was_too_late(alarm.field, task, announced_until, at)
        )
    ]
    return sorted(ringing, key=lambda one: (one.at, one.alarm.kind, one.alarm.offset))


def _was_too_late(field: str, task: Task, announced_until: AnnouncedUntil, at: datetime) -> bool:
    """Whether a date was past when Taskbell saw it set, and may have been set after `at`.

    It was not if its system says that the task has not changed since `at`: then Taskbell was late.
    """
    changed = task.updated_at or task.created_at
    return _belated(field) in announced_until and (changed is None or changed > at)


def next_alarm(
    task: Task, alarms: Iterable[Alarm], zone: ZoneInfo, announced_until: AnnouncedUntil
) -> datetime | None:
    """When the next alarm of this task is due; None if there is none."""
    if not task.is_open:
        return None
    instants = (
        at
        for alarm in alarms
        if (at := alarm.instant(task, zone)) is not None
        and not was_announced(alarm, at, announced_until)
    )
    return min(instants, default=None)


def has_moved(before: Task, after: Task, name: str, zone: ZoneInfo) -> bool:
    """Whether a date has changed; another notation of the same time is not a change."""
    if value_of(before, name) == value_of(after, name):
        return False
    return moment_of(before, name, zone) != moment_of(after, name, zone)


@dataclass(frozen=True, slots=True)
class WatchedDates:
    """The dates from which an account's alarms count, and the zone in which they are written."""

    names: frozenset[str]
    zone: ZoneInfo

    def moved(
        self, before: Task | None, after: Task, announced_until: AnnouncedUntil
    ) -> AnnouncedUntil:
        """`announced_until` after a change: a date that moved has not been announced yet.

        A day whose time has changed, but not the day itself, has not moved.
        """
        if before is None:
            return announced_until
        if before.done != after.done:
            return {}
        kept = (
            (mark, self._carried(until, before, after, mark))
            for mark, until in announced_until.items()
        )
        return {mark: until for mark, until in kept if until is not None}

    def _carried(self, until: datetime, before: Task, after: Task, mark: str) -> datetime | None:
        """Up to when a date is announced after it changed; None if it is not announced any more."""
        name = _marked(mark)
        if not has_moved(before, after, name, self.zone):
            return until
        if name not in DAYS or not is_same_day(before, after, name):
            return None
        old, new = getattr(before, name), getattr(after, name)
        return max(until, new) if old <= until else until

    def belated(self, before: Task | None, after: Task, now: datetime) -> AnnouncedUntil:
        """The marks of dates that are already past when they are set, or their task is reopened."""
        if not after.is_open:
            return {}
        is_opened = before is None or not before.is_open
        return {
            _belated(name): now
            for name in self.names
            if self._is_past(after, name, now)
            and (is_opened or before is None or has_moved(before, after, name, self.zone))
        }

    def taken_up(self, task: Task, now: datetime) -> AnnouncedUntil:
        """`announced_until` of a task that is imported silently.

        Announced is all that was due by now and, for a date that is past by now, everything that
        counts from it: also alarms that are due days later.
        """
        lines = dict.fromkeys(self.names, now)
        if not task.is_open:
            return lines
        return {**lines, **{_bygone(name): now for name in self._past(task, now)}}

    def _past(self, task: Task, now: datetime) -> Iterator[str]:
        """All dates that are past, including dates without an alarm now: one may be added later."""
        for name in TIMES:
            date: datetime | None = getattr(task, name)
            if date is not None and date <= now:
                yield name
        for name, value in task.fields.items():
            date = written_dates.moment(value, self.zone)
            if date is not None and date <= now:
                yield f"{FIELDS}{name}"

    def _is_past(self, task: Task, name: str, now: datetime) -> bool:
        date = moment_of(task, name, self.zone)
        return date is not None and date <= now


def was_announced(alarm: Alarm, at: datetime, announced_until: AnnouncedUntil) -> bool:
    """Whether this alarm, which is due at `at`, has fired, or will never fire."""
    if _bygone(alarm.field) in announced_until:
        return True
    until = announced_until.get(alarm.field)
    if until is None or until < at:
        until = announced_until.get(alarm.mark)
    return until is not None and at <= until


def _belated(field: str) -> str:
    """The mark of a date that was already past when it was set: no alarm before it was missed."""
    return field + _BELATED


def _bygone(field: str) -> str:
    """The mark of a date that was already past when its task was imported."""
    return field + _BYGONE


def _marked(mark: str) -> str:
    """The date of a mark: of the date itself, of an alarm, belated or bygone."""
    found = _MARK.fullmatch(mark) if " " in mark else None
    return mark if found is None else found["field"]
