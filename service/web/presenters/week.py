"""A week of opening hours, public holidays, silences and holds, as a table for a page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.opening_hours import Hours

_DAY = timedelta(days=1)
_FURTHEST = timedelta(days=10 * 366)
_ANY_HOUR = time()


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: its name, its kind, and for each day what is so, in words."""

    name: str
    kind: str
    days: Sequence[str]
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days from a Monday on, in `zone`."""

    monday: date
    zone: ZoneInfo

    @property
    def days(self) -> list[date]:
        return [self.monday + n * _DAY for n in range(7)]

    @property
    def before(self) -> date:
        return self.monday - 7 * _DAY

    @property
    def after(self) -> date:
        return self.monday + 7 * _DAY

    @property
    def ends(self) -> datetime:
        return _midnight(self.after, self.zone)

    @property
    def begins(self) -> datetime:
        return _midnight(self.monday, self.zone)


def read_week(text: str, zone: ZoneInfo, now: datetime) -> Week:
    """The week of a date such as 2026-03-06; this week, if there is none or it is far away."""
    today = now.astimezone(zone).date()
    try:
        day = date.fromisoformat(text) if text else today
    except ValueError:
        day = today
    if abs(day - today) > _FURTHEST:
        day = today
    return Week(day - day.weekday() * _DAY, zone)


def hours_rows(week: Week, hours: Iterable[Hours]) -> list[Row]:
    """Named opening hours. They are those of each place, by its own clock."""
    return [
        Row(one.name, "hours", [_open(one, day, week.zone) for day in week.days]) for one in hours
    ]


def holiday_row(week: Week, country: str | None, subdivision: str | None = None) -> Row | None:
    """The public holidays of a country, or of a part of it; None if there are none in this week."""
    if country is None:
        return None
    where = "-".join(filter(None, (country, subdivision)))
    holidays = Hours("PH", "PH", country, subdivision=subdivision)
    days = ["holiday" if holidays.open_on(day, week.zone) else "" for day in week.days]
    return Row(f"Public holidays ({where})", "holiday", days) if any(days) else None


def span_rows(week: Week, kind: str, spans: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Silences or holds (`created_at`, `ends_at`, `id`, `name`) that touch this week."""
    return [
        Row(one["name"], kind, [_part(one, day, week.zone) for day in week.days], one["id"])
        for one in spans
        if one["created_at"] < week.ends and one["ends_at"] > week.begins
    ]


def _open(hours: Hours, day: date, zone: ZoneInfo) -> str:
    found = [
        f"{opening:%H:%M}-{'24:00' if closing.date() > day else f'{closing:%H:%M}'}"
        for opening, closing in hours.open_on(day, zone)
    ]
    if found == ["00:00-24:00"]:
        return "all day"
    return ", ".join(found) or "closed"


def _part(span: Mapping[str, Any], day: date, zone: ZoneInfo) -> str:
    """The part of a day that a span covers, such as `from 14:00`."""
    first, last = _midnight(day, zone), _midnight(day + _DAY, zone)
    begins, ends = span["created_at"], span["ends_at"]
    if begins >= last or ends <= first:
        return ""
    since = f"from {begins.astimezone(zone):%H:%M}" if begins > first else ""
    until = f"until {ends.astimezone(zone):%H:%M}" if ends < last else ""
    return " ".join(filter(None, (since, until))) or "all day"


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, _ANY_HOUR, zone).astimezone(UTC)
