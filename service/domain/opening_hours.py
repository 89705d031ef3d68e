"""Opening hours: when a place is open, when it opens next, and what a business day is.

The syntax is OpenStreetMap's (https://wiki.openstreetmap.org/wiki/Key:opening_hours); PH are the
public holidays of a country. All times are passed and returned in UTC; `zone` is the time zone of
the opening hours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from opening_hours import (  # type: ignore[attr-defined]  # its stubs leave out the errors
    OpeningHours,
    ParserError,
    State,
    UnknownCountryError,
)

from service.diagnostics import refused
from service.domain.durations import Duration
from service.domain.public_holidays import holidays_in

_MOST_STEPS = 2_000
_LONGEST_TEXT = 1_000  # characters
# Nobody waits longer for business hours; places that open once in a generation are not sought.
_HORIZON = timedelta(days=3660)
_PLACE = re.compile(r"--> (\d+):(\d+)")


HOLIDAY = re.compile(r"\bPH\b")
_BESIDE_HOLIDAY = re.compile(r"\bPH\s*[+-]\s*\d+\s*day")
_EVERY_DAY = "Mo-Su"
_DAY = r"(?:(\d{4})-)?(\d{2})-(\d{2})"
_CLOSED = re.compile(rf"{_DAY}(?:\s+to\s+{_DAY})?")
_LEAP_YEAR = 2000
_A_SEASON = 90  # days
_MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=1_000)
def _calendar(
    text: str, country: str | None, zone: ZoneInfo, closed: tuple[str, ...] = ()
) -> OpeningHours:
    rules = "; ".join([text, *(f"{days} off" for days in closed)])
    return OpeningHours(rules, timezone=zone, country=country)


@dataclass(frozen=True, slots=True)
class Hours:
    """Named opening hours, such as `office`; closed on the `closed` days (see `closed_days`)."""

    name: str
    text: str
    country: str | None = None
    closed: tuple[str, ...] = ()
    subdivision: str | None = None

    def is_open(self, moment: datetime, zone: ZoneInfo) -> bool:
        there = moment.astimezone(zone)
        return self._calendar(there.date(), zone).is_open(there)

    def open_on(self, day: date, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
        """When they open and close on a day, in `zone`; what goes on beyond midnight is cut."""
        start, end = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        found = self._calendar(day, zone).intervals(start, end)
        return [(opening, closing) for opening, closing, state, _ in found if state == State.OPEN]

    def begin_on(self, day: date, zone: ZoneInfo) -> bool:
        """Whether they begin on a day, or last all of it; a night that ends there began before."""
        found = self.open_on(day, zone)
        if not found:
            return False
        start, (opening, closing) = _midnight(day, zone), found[0]
        lasts = closing >= _midnight(day + timedelta(days=1), zone)
        is_new = opening > start or not self.is_open(start.astimezone(UTC) - _MINUTE, zone)
        return len(found) > 1 or lasts or is_new

    def day_away(self, day: date, days: int, zone: ZoneInfo) -> date | None:
        """The open day so many open days after a day, or before it if `days` is negative.

        None if there are not so many within ten years.
        """
        return _day_away(self, day, days, zone)

    def next_open(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first open time at or after this one; None if there is none."""
        for _ in range(_MOST_STEPS):
            if self.is_open(moment, zone):
                return moment
            change = self._next_change(moment, zone)
            if change is None:
                return None
            moment = change
        return None

    def after(self, duration: Duration, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The time after this duration, counted in these hours; None if it is never reached."""
        if duration.business_hours:
            return self._hours_after(timedelta(hours=duration.business_hours), moment, zone)
        if duration.business_days:
            return self._days_after(duration.business_days, moment, zone)
        return moment + duration.plain

    def _hours_after(self, left: timedelta, moment: datetime, zone: ZoneInfo) -> datetime | None:
        last = moment + _HORIZON
        for _ in range(_MOST_STEPS):
            opening = self.next_open(moment, zone)
            if opening is None or opening > last:
                return None
            closing = self._next_change(opening, zone)
            if closing is None or closing - opening >= left:
                return opening + left
            left -= closing - opening
            moment = closing
        return None

    def _days_after(self, days: int, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The same time of day, this many open days after the first open time."""
        start = self.next_open(moment, zone)
        if start is None:
            return None
        at = start.astimezone(zone)
        day = self.day_away(at.date(), days, zone)
        if day is None:
            return None
        at = at.replace(year=day.year, month=day.month, day=day.day)
        return self.next_open(at.astimezone(UTC), zone)

    def _calendar(self, day: date, zone: ZoneInfo) -> OpeningHours:
        """The hours for one day: of a subdivision, every day is a public holiday or none is."""
        if self.country is None or self.subdivision is None:
            return _calendar(self.text, self.country, zone, self.closed)
        is_off = day in holidays_in(self.country, self.subdivision, day.year)
        text = HOLIDAY.sub(_EVERY_DAY, self.text) if is_off else self.text
        return _calendar(text, None, zone, self.closed)

    def _next_change(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """When they open or close next; None if they do neither within the horizon.

        The library's own `next_change` searches up to the year 10000, which takes seconds.
        """
        # Counted in UTC: on the wall, ten years later may be an hour that a clock leaves out.
        start, last = moment.astimezone(zone), (moment + _HORIZON).astimezone(zone)
        if self.subdivision is not None:
            return self._next_change_by_day(start, last, zone)
        [_, change, *_] = next(self._calendar(start.date(), zone).intervals(start, last))
        return None if change >= last else change.astimezone(UTC)

    def _next_change_by_day(
        self, start: datetime, last: datetime, zone: ZoneInfo
    ) -> datetime | None:
        was_open = self.is_open(start, zone)
        while start < last:
            day = start.date() + timedelta(days=1)
            midnight = _midnight(day, zone)
            for begin, _, state, _ in self._calendar(start.date(), zone).intervals(start, midnight):
                if (state == State.OPEN) != was_open:
                    return begin.astimezone(UTC)
            start = midnight
        return None


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins: where clocks go forward at midnight, that is at one o'clock."""
    return datetime.combine(day, time(), zone).astimezone(UTC).astimezone(zone)


@lru_cache(maxsize=10_000)
def _day_away(hours: Hours, day: date, days: int, zone: ZoneInfo) -> date | None:
    """Kept, because the alarms of many tasks count from the same few days."""
    step, left = timedelta(days=1 if days > 0 else -1), abs(days)
    for _ in range(_HORIZON.days):
        if not left:
            return day
        day += step
        left -= hours.begin_on(day, zone)
    return None


def read_hours(
    name: str,
    text: str,
    country: str | None = None,
    closed: tuple[str, ...] = (),
    subdivision: str | None = None,
) -> Hours:
    """Parse opening hours; raises ValueError with the position of the error.

    `country` and `subdivision` must be such whose holidays are known.
    """
    if len(text) > _LONGEST_TEXT:
        message = f"the opening hours have more than {_LONGEST_TEXT} characters"
        raise refused(message, "split them into several, each with its own name")
    try:
        _calendar(text, country, ZoneInfo("UTC"))
    except ParserError as error:
        found = _PLACE.search(str(error))
        offset = int(found[2]) - 1 if found else None
        hint = 'write for example "Mo-Fr 08:00-17:00; PH off"'
        raise refused("the opening hours cannot be read here", hint, offset) from None
    if subdivision is not None:
        _demand_whole_holidays(text)
    return Hours(name, text, country, closed, subdivision)


def _demand_whole_holidays(text: str) -> None:
    """Raise ValueError unless PH can be replaced by every day, as on a holiday of a subdivision."""
    hint = "write PH alone, or remove subdivision"
    moved = _BESIDE_HOLIDAY.search(text)
    if moved is not None:
        message = "days beside public holidays are not known for a subdivision"
        raise refused(message, hint, moved.start())
    try:
        _calendar(HOLIDAY.sub(_EVERY_DAY, text), None, ZoneInfo("UTC"))
    except ParserError:
        message = "public holidays on some weekdays only are not known for a subdivision"
        found = HOLIDAY.search(text)
        raise refused(message, hint, found and found.start()) from None


def closed_days(value: object) -> str:
    """The days of `2026-12-24`, of `12-24` (every year), or of `12-24 to 01-01`, as in the syntax.

    Raises ValueError with the error.
    """
    hint = "write 2026-12-24, 12-24 (every year), or 12-24 to 01-01"
    written = _CLOSED.fullmatch(value.strip()) if isinstance(value, str) else None
    if written is None:
        raise refused(f"this is not a day: {value}", hint)
    first, last = written.groups()[:3], written.groups()[3:]
    if last[1] is None:
        return _day(first, hint)
    if (first[0] is None) != (last[0] is None):
        raise refused("a year is given for only one of the two days", hint)
    days = f"{_day(first, hint)}-{_day(last, hint)}"
    if first[0] is not None and first > last:
        raise refused("the last day is before the first one", hint)
    return days


def closed_most_of_the_year(value: object) -> int | None:
    """How many days of every year a range leaves, if they are less than three months; else None.

    Such a range, such as `12-26 to 12-24`, is probably the wrong way round.
    """
    written = _CLOSED.fullmatch(value.strip()) if isinstance(value, str) else None
    if written is None or written[5] is None or written[1] is not None:
        return None
    first = date(_LEAP_YEAR, int(written[2]), int(written[3]))
    last = date(_LEAP_YEAR, int(written[5]), int(written[6]))
    left = (first - last).days - 1
    return left if 0 <= left < _A_SEASON else None


def _day(written: Sequence[str], hint: str) -> str:
    """A day as the syntax has it; the year may be missing."""
    year, month, day = written
    try:
        found = date(int(year or _LEAP_YEAR), int(month), int(day))
    except ValueError:
        raise refused(f"there is no day {month}-{day}", hint) from None
    return f"{found:%Y %b %d}" if year else f"{found:%b %d}"


def is_country(code: str) -> bool:
    """Whether the public holidays of this ISO country code are known."""
    try:
        _calendar("24/7", code, ZoneInfo("UTC"))
    except UnknownCountryError:
        return False
    return True
