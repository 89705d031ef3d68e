"""What the clock watches in an account, and what a change of it means for a task: pure functions.

Rules come and go, and an account may get another time zone, while tasks wait for their alarms.
When that happens, an old alarm that is due already still rings; a new alarm does not ring for the
past; an alarm that is in both rings once.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from hashlib import blake2b
from typing import Any, Self
from zoneinfo import ZoneInfo

import orjson

from service.domain.alarms import Alarm, AnnouncedUntil, DueAlarm, due, was_announced
from service.domain.model import Kind, Task


@dataclass(frozen=True, slots=True)
class AlarmSet:
    """The alarms of an account, and the zone in which their times of day are told."""

    alarms: frozenset[Alarm]
    zone: ZoneInfo

    @property
    def id(self) -> str:
        """The same for the same watch in every process."""
        return blake2b(orjson.dumps([self.zone.key, self.rows()]), digest_size=8).hexdigest()

    @property
    def dates(self) -> frozenset[str]:
        """The fields of a task from which the alarms count."""
        return frozenset(alarm.field for alarm in self.alarms)

    def rows(self) -> list[list[Any]]:
        """The alarms as JSON can hold them, in one order."""
        return [
            [one.kind, one.field, one.offset.total_seconds(), one.at and f"{one.at:%H:%M}"]
            for one in sorted(self.alarms, key=str)
        ]

    @classmethod
    def from_rows(cls, rows: list[list[Any]], zone: ZoneInfo) -> Self:
        """Read what `rows` gave."""
        return cls(
            frozenset(
                Alarm(Kind(kind), field, timedelta(seconds=offset), at and time.fromisoformat(at))
                for kind, field, offset, at in rows
            ),
            zone,
        )


def owed(
    task: Task,
    announced_until: AnnouncedUntil,
    old: AlarmSet,
    new: AlarmSet,
    since: datetime,
    now: datetime,
) -> list[DueAlarm]:
    """What had come under `old` before `new` was in force, and was not announced.

    Nor is an alarm of both forgotten that a new zone has brought forward to before that moment.
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
    """Up to where a task has been announced, once what is `owed` was: up to `since` for all dates.

    An alarm of both that was announced is so for good, although a new zone has put it off.
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
    """Whether this alarm of a task has been announced, at the moment that `by` has for it."""
    at = alarm.instant(task, by.zone)
    return at is not None and was_announced(alarm, at, announced_until)
