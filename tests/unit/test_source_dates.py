"""Which dates of a system are days, and what these come down to."""

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.domain.days import Calendar
from service.domain.written_dates import is_date
from service.sources.dates import Dates, ParsedDate

NEW_YORK = ZoneInfo("America/New_York")
DATES = Dates(Calendar(NEW_YORK, time(17)))
MIDNIGHTS = Dates(Calendar(NEW_YORK, time(17)), midnight_is_day=True)


def read(value: Any, of: str = "due", dates: Dates = DATES) -> ParsedDate:
    return dates.read({"at": value}, "at", of)


@pytest.mark.parametrize("text", ["2026-11-28", "20261128", " 2026-11-28 ", "2026-W48-6"])
def test_a_date_without_a_time_is_a_day(text: str) -> None:
    """Due by the account's time, begun with its first second, over with its last."""
    told = {
        "due": datetime(2026, 11, 28, 22, tzinfo=UTC),
        "start": datetime(2026, 11, 28, 5, tzinfo=UTC),
        "end": datetime(2026, 11, 29, 4, 59, 59, tzinfo=UTC),
        "completed_at": datetime(2026, 11, 29, 4, 59, 59, tzinfo=UTC),
    }
    for of, moment in told.items():
        assert read(text, of) == ParsedDate(moment, is_day=True)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-11-28T00:00:00-05:00", "2026-11-28 00:00:00", "2026-11-28T00:00:00Z"),
        *("2026-11-28T05:00:00Z", "2026-11-28T00:00"),
    ],
)
def test_midnight_is_a_time_where_nobody_says_otherwise(text: str) -> None:
    """Where the system writes midnight for a day it is that day: as written, or as it is here."""
    assert not read(text).is_day
    assert read(text, dates=MIDNIGHTS) == read("2026-11-28")


@pytest.mark.parametrize("text", ["2026-11-28T10:00:00-05:00", "2026-11-28 00:00:01", 1764288001])
def test_a_time_is_no_day(text: Any) -> None:
    """Whether midnights stand for days or not."""
    assert not read(text, dates=MIDNIGHTS).is_day
    assert read(text).at is not None


def test_no_date_is_no_day() -> None:
    """Nor is a zero date."""
    for nothing in (None, "", "0000-00-00", "0001-01-01"):
        assert read(nothing) == ParsedDate()


def test_the_end_of_a_day_is_where_its_clock_says_so() -> None:
    """Days of 23 and 25 hours, and one whose last hour comes twice: the second one ends it."""
    for day, moment in (
        (date(2026, 3, 8), datetime(2026, 3, 9, 3, 59, 59, tzinfo=UTC)),
        (date(2026, 11, 1), datetime(2026, 11, 2, 4, 59, 59, tzinfo=UTC)),
    ):
        assert Calendar(NEW_YORK).moment(day, "due") == moment
    azores = Calendar(ZoneInfo("Atlantic/Azores"))  # its clocks go back at 1:00 to midnight
    assert azores.moment(date(2026, 10, 25), "start") == datetime(2026, 10, 25, 0, tzinfo=UTC)
    santiago = Calendar(ZoneInfo("America/Santiago"))  # at midnight back to 23:00
    assert santiago.moment(date(2026, 4, 4), "end") == datetime(2026, 4, 5, 3, 59, 59, tzinfo=UTC)


def test_what_only_begins_is_due_some_time_on_that_day() -> None:
    """By the account's time; if it begins after that, by the end of the day."""
    told = {
        10: datetime(2026, 11, 28, 22, tzinfo=UTC),
        20: datetime(2026, 11, 29, 4, 59, 59, tzinfo=UTC),
    }
    for hour, due in told.items():
        start = ParsedDate(datetime(2026, 11, 28, hour, tzinfo=NEW_YORK).astimezone(UTC))
        assert DATES.due_after(start) == ParsedDate(due, is_day=True)
    assert DATES.due_after(ParsedDate()) == ParsedDate()


@pytest.mark.parametrize("zero", [-2209161600, -62135596800, -62135596800000, -62135596800.0])
def test_a_zero_date_may_be_a_number(zero: float) -> None:
    """In seconds or milliseconds, long before 1970: it says that there is none, and can be read."""
    assert is_date(zero)
    assert read(zero) == ParsedDate()
