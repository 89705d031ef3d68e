"""Converts a day to a time: when a task is due, begins, ends or was done."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from service.domain.model import DAYS, Task

# The shortest day: it moves by less where another `due_by` or zone brings it to another moment.
_SHIFT = timedelta(hours=23)
_LONGEST_DAY = timedelta(hours=25)
FIRST, LAST = time(), time(23, 59, 59)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of an account: its zone, and the time at which a task with a day only is due."""

    zone: tzinfo = UTC
    due_by: time = LAST

    def moment(self, day: date, name: str) -> datetime:
        """The time that a day stands for as the date `name` of a task, in UTC.

        A task begins with its first second, and ends and is done with its last.
        """
        return self.at(day, {"due": self.due_by, "start": FIRST}.get(name, LAST))

    def at(self, day: date, clock: time) -> datetime:
        """That time of a day; of a repeated hour the second, unless the day begins in it."""
        local = datetime.combine(day, clock, self.zone)
        return local.replace(fold=int(clock != FIRST)).astimezone(UTC)

    def day_of(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def within(self, moment: datetime, day: date) -> datetime:
        """The time in that day that is nearest to the given one."""
        return min(max(moment, self.at(day, FIRST)), self.at(day, LAST))


def is_same_day(before: Task, after: Task, name: str) -> bool:
    """Whether a date without a time is the same day, also as an earlier version stored it."""
    one, other = getattr(before, name), getattr(after, name)
    if one is None or other is None or not getattr(after, DAYS[name]):
        return False
    if getattr(before, DAYS[name]):
        return bool(abs(other - one) < _SHIFT)
    return before.revision < after.revision and bool(timedelta(0) <= other - one < _LONGEST_DAY)
