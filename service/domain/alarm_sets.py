"""The alarms of an account, and what a change of them means for a task: pure functions.

Rules are added and removed, and an account may get another time zone, while tasks wait for their
alarms. Then alarms of the old set that are due still fire; new alarms do not fire for the past;
alarms in both sets fire once.
"""

from dataclasses import astuple, dataclass, replace
from datetime import datetime, time, timedelta
from hashlib import blake2b
from typing import Any, Self
from zoneinfo import ZoneInfo

import orjson

from service.domain.alarms import Alarm, AnnouncedUntil, DueAlarm, due, was_announced
from service.domain.model import Kind, Task
from service.domain.opening_hours import Hours


@dataclass(frozen=True, slots=True)
class AlarmSet:
    """The alarms of an account, and the zone of their times of day."""

    alarms: frozenset[Alarm]
    zone: ZoneInfo

    @property
    def id(self) -> str:
        """The same for the same alarm set in every process."""
        return blake2b(orjson.dumps([self.zone.key, self.rows()]), digest_size=8).hexdigest()

    @property
    def dates(self) -> frozenset[str]:
        """The fields of a task from which the alarms count."""
        return frozenset(alarm.field for alarm in self.alarms)

    def rows(self) -> list[list[Any]]:
        """The alarms as JSON values, in a fixed order."""
        return [_row(one) for one in sorted(self.alarms, key=str)]

    @classmethod
    def from_rows(cls, rows: list[list[Any]], zone: ZoneInfo) -> Self:
        """Parse the result of `rows`."""
        return cls(frozenset(_alarm(*row) for row in rows), zone)


def _row(alarm: Alarm) -> list[Any]:
    """An alarm as JSON values; the opening hours are there only if it counts by them."""
    at = alarm.at and f"{alarm.at:%H:%M}"
    row = [alarm.kind, alarm.field, alarm.offset.total_seconds(), at]
    return [*row, astuple(alarm.hours)] if isinstance(alarm.hours, Hours) else row


def _alarm(
    kind: str, field: str, offset: float, at: str | None, hours: list[Any] | None = None
) -> Alarm:
    clock = time.fromisoformat(at) if at else None
    alarm = Alarm(Kind(kind), field, timedelta(seconds=offset), clock)
    if hours is None:
        return alarm
    name, text, country, closed, subdivision = hours
    return replace(
        alarm, is_business=True, hours=Hours(name, text, country, tuple(closed), subdivision)
    )


def owed(
    task: Task,
    announced_until: AnnouncedUntil,
    old: AlarmSet,
    new: AlarmSet,
    since: datetime,
    now: datetime,
) -> list[DueAlarm]:
    """Alarms of `old` that were due before `new` was activated `since`, and have not fired.

    They include an alarm of both sets that a new zone has moved to before that time.
    """
    both = [
        alarm
        for alarm in old.alarms & new.alarms
        if not _was_told(alarm, task, old, announced_until)
    ]
    kept = due(task, both, new.zone, announced_until, since)
    past = due(task, old.alarms, old.zone, announced_until, since)
    late = (one for one in [*kept, *past] if not one.alarm.is_pointless(task, now, new.zone))
    once = {one.alarm: one for one in late}
    return sorted(once.values(), key=lambda one: (one.at, one.alarm))


def carried_over(
    task: Task, announced_until: AnnouncedUntil, old: AlarmSet, new: AlarmSet, since: datetime
) -> AnnouncedUntil:
    """The `announced_until` of a task after its `owed` alarms have fired: `since` for all dates.

    An alarm of both sets that has fired does not fire again, even if a new zone has moved it later.
    """
    dates = old.dates | new.dates
    lines = {
        **announced_until,
        **{date: max(since, announced_until.get(date, since)) for date in dates},
    }
    put_off = {
        alarm.mark: at
        for alarm in old.alarms & new.alarms
        if (at := alarm.instant(task, new.zone)) is not None
        and not was_announced(alarm, at, lines)
        and _was_told(alarm, task, old, lines)
    }
    return {**lines, **put_off}


def _was_told(alarm: Alarm, task: Task, by: AlarmSet, announced_until: AnnouncedUntil) -> bool:
    """Whether this alarm of a task has fired, at its time in the alarm set `by`."""
    at = alarm.instant(task, by.zone)
    return at is not None and was_announced(alarm, at, announced_until)
