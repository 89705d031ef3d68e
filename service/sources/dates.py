"""The dates of tasks: a time, or a day if no time is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from service.domain import written_dates
from service.domain.days import FIRST, LAST, Calendar


@dataclass(frozen=True, slots=True)
class ParsedDate:
    """A time in UTC, or None; `is_day` if only its day is meant."""

    at: datetime | None = None
    is_day: bool = False


_NONE = ParsedDate()


@dataclass(frozen=True, slots=True)
class Dates:
    """How an account writes its dates.

    A date without an offset is local time in the account's `calendar`; in its repeated hour `fold`
    selects the first or second. `midnight_is_day` says that midnight, as it is written or in the
    account's zone, stands for its day.
    """

    calendar: Calendar
    midnight_is_day: bool = False
    fold: int = 0

    def read(self, raw: Mapping[str, Any], name: str, of: str) -> ParsedDate:
        """The date in `raw[name]`, which is a task's date `of`, such as `due`."""
        found = self.moment(raw, name)
        if found is None:
            return _NONE
        day = self._day(raw[name], found)
        return (
            ParsedDate(found)
            if day is None
            else ParsedDate(self.calendar.moment(day, of), is_day=True)
        )

    def moment(self, raw: Mapping[str, Any], name: str) -> datetime | None:
        """A date of which only the time matters."""
        value = raw.get(name)
        if value is None:
            return None
        return written_dates.moment(value, self.calendar.zone, fold=self.fold)

    def due_after(self, start: ParsedDate) -> ParsedDate:
        """When a task is due of which only the start is known: some time on that day."""
        if start.at is None:
            return start
        day = self.calendar.day_of(start.at)
        due = self.calendar.moment(day, "due")
        return ParsedDate(due if due >= start.at else self.calendar.at(day, LAST), is_day=True)

    def _day(self, value: Any, found: datetime) -> date | None:
        """The day that a date stands for; None if it is a time."""
        day = written_dates.day(value)
        if day is not None or not self.midnight_is_day:
            return day
        said = written_dates.clock_time(value)
        if said is not None and (said.tzinfo is None or said.time() == FIRST):
            return said.date() if said.time() == FIRST else None
        shown = found.astimezone(self.calendar.zone)
        return shown.date() if shown.time() == FIRST else None
