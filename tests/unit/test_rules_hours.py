"""Opening hours, business durations and lengths of time, over weekends and clock changes."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from service.domain.durations import in_words, parse_duration, parse_length
from service.domain.opening_hours import Hours, closed_days
from service.web.presenters.week import Week, hours_rows
from tests.harness import wall_clock

NEW_YORK = ZoneInfo("America/New_York")
OFFICE = Hours("office", "Mo-Fr 08:00-17:00; PH off", "US")
EXAMPLES = 3000 if settings.get_current_profile_name() == "soak" else 400
NEVER = Hours("never", "off")
ALWAYS = Hours("always", "24/7")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("2m", 120),
        ("2 min", 120),
        ("2h", 7200),
        ("1 day", 86400),
        ("3d", 259200),
        ("1 week", 604800),
        ("0s", 0),
    ],
)
def test_plain_lengths(text: str, seconds: int) -> None:
    """Seconds to weeks, short or in words."""
    assert parse_length(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0s", "0 seconds"),
        ("60s", "1 minute"),
        ("90s", "90 seconds"),
        ("90m", "90 minutes"),
        ("24h", "1 day"),
        ("2w", "2 weeks"),
    ],
)
def test_lengths_in_words(text: str, words: str) -> None:
    """A reason tells a duration by the largest unit in which it is a whole number."""
    assert in_words(parse_length(text)) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5 parsecs", '"5 parsecs" is not a duration'),
        ("-1h", '"-1h" is not a duration'),
        ("999999d", "999999d is longer than ten years"),
        (
            "1 business minute",
            "there are business hours and business days, but no business minutes",
        ),
        ("", '"" is not a duration'),
    ],
)
def test_lengths_that_are_none(text: str, words: str) -> None:
    """What cannot be a duration is refused in words."""
    with pytest.raises(ValueError, match=words):
        parse_duration(text)


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2026-03-06 16:59", "2026-03-06 16:59"),  # open
        ("2026-03-06 17:00", "2026-03-09 08:00"),  # over the weekend and into summer time
        ("2026-10-30 18:00", "2026-11-02 08:00"),  # and out of it
        ("2026-07-02 20:00", "2026-07-06 08:00"),  # Friday is Independence Day (observed)
        ("2026-12-24 17:30", "2026-12-28 08:00"),
    ],
)
def test_next_opening(moment: str, opening: str) -> None:
    """The next opening is on the office's own clock, whatever the clocks and holidays do."""
    assert OFFICE.next_open(local(moment), NEW_YORK) == local(opening)


@pytest.mark.parametrize(
    ("moment", "length", "later"),
    [
        ("2026-03-06 16:00", "2 business hours", "2026-03-09 09:00"),
        ("2026-03-06 19:00", "2 business hours", "2026-03-09 10:00"),
        ("2026-03-06 16:00", "9 business hours", "2026-03-09 16:00"),
        ("2026-03-06 16:30", "1 business day", "2026-03-09 16:30"),
        ("2026-03-06 19:00", "1 business day", "2026-03-10 08:00"),
        ("2026-03-04 09:00", "3 business days", "2026-03-09 09:00"),
        ("2026-12-24 09:00", "1 business day", "2026-12-28 09:00"),
        ("2026-03-07 12:00", "1 day", "2026-03-08 13:00"),  # 24 hours, one of them skipped
    ],
)
def test_business_time(moment: str, length: str, later: str) -> None:
    """Business hours run while it is open; a business day keeps the time of day."""
    assert OFFICE.after(parse_duration(length), local(moment), NEW_YORK) == local(later)


def test_business_day_on_a_short_day() -> None:
    """A business day that would end after closing time ends when it opens next."""
    short = Hours("short", "Mo-Th 08:00-17:00; Fr 08:00-12:00")
    later = short.after(parse_duration("1 business day"), local("2026-03-05 15:00"), NEW_YORK)
    assert later == local("2026-03-09 08:00")


def test_hours_that_never_open() -> None:
    """For hours that never open there is no next opening, and the search for one ends."""
    now = local("2026-03-06 16:00")
    assert NEVER.next_open(now, NEW_YORK) is None
    assert NEVER.after(parse_duration("1 business day"), now, NEW_YORK) is None
    assert NEVER.after(parse_duration("1 business hour"), now, NEW_YORK) is None
    assert ALWAYS.after(parse_duration("5 business hours"), now, NEW_YORK) == now + timedelta(
        hours=5
    )


@pytest.mark.parametrize("text", ["Mo-Fr 08:00-17:00; Mo-Su off", "2025 Mo-Fr 08:00-17:00"])
def test_hours_that_are_over_are_not_looked_for_long(text: str) -> None:
    """Nobody looks ahead to the year 10000: a worker would stand still for seconds."""
    began = process_time()
    assert Hours("past", text, "US").next_open(local("2026-03-06 16:00"), NEW_YORK) is None
    assert process_time() - began < 0.3


@pytest.mark.parametrize("zone", wall_clock.zones, ids=str)
def test_each_hour_of_the_year_has_a_next_opening(zone: ZoneInfo) -> None:
    """Also one of which the clock, where the search ends ten years later, shows no such time."""
    hour = datetime(2026, 1, 1, tzinfo=UTC)
    while hour.year < 2027:
        hour += timedelta(minutes=30)
        opening = OFFICE.next_open(hour, zone)
        assert opening is not None
        assert opening >= hour
        assert OFFICE.is_open(opening, zone)


@given(
    minutes=st.integers(0, 2 * 365 * 24 * 60),
    hours=st.integers(1, 40),
)
def test_business_hours_end_in_opening_hours(minutes: int, hours: int) -> None:
    """They end later than they began, and at a time at which the office is or was just open."""
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    end = OFFICE.after(parse_duration(f"{hours} business hours"), moment, NEW_YORK)
    assert end is not None
    assert end >= moment + timedelta(hours=hours)
    assert OFFICE.is_open(end - timedelta(microseconds=1), NEW_YORK)


@settings(max_examples=EXAMPLES)
@given(
    place=wall_clock.places,
    at=wall_clock.times,
    count=st.integers(1, 7),
    opening=st.sampled_from([(time(8), time(17)), (time(1), time(5))]),
)
def test_business_days_are_counted_as_on_a_calendar(
    place: tuple[ZoneInfo, date], at: time, count: int, opening: tuple[time, time]
) -> None:
    """From Monday to Friday, at the same time of day; what begins while it is closed, at opening.

    That goes for those who work at night as well, when the clocks change.
    """
    (zone, day), (opens, closes) = place, opening
    hours = Hours("some", f"Mo-Fr {opens:%H:%M}-{closes:%H:%M}")
    later = hours.after(
        parse_duration(f"{count} business days"), wall_clock.shown(day, at, zone), zone
    )
    shown = wall_clock.shown(day, at, zone).astimezone(zone).time()
    if shown >= closes or day.weekday() > 4:
        day, shown = _next_weekday(day), opens
    for _ in range(count):
        day = _next_weekday(day)
    assert later == wall_clock.shown(day, max(shown, opens), zone)


@pytest.mark.parametrize("subdivision", [None, "AP"])
@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("America/Santiago", date(2026, 9, 6)),
        ("America/Havana", date(2026, 3, 8)),
        ("Asia/Beirut", date(2026, 3, 29)),
        ("Africa/Cairo", date(2026, 4, 24)),
    ],
)
def test_a_day_can_begin_at_one_o_clock(name: str, day: date, subdivision: str | None) -> None:
    """There clocks go forward at midnight, so that the day has none."""
    zone, one_day = ZoneInfo(name), timedelta(days=1)
    hours = Hours("some", "Mo-Su 00:00-17:00", "CL", (), subdivision)
    [(opening, closing)] = hours.open_on(day, zone)
    assert (opening.time(), closing.time()) == (time(1), time(17))
    assert hours.day_away(day + one_day, -1, zone) == day
    assert hours.day_away(day - one_day, 1, zone) == day
    night = datetime.combine(day - one_day, time(20), zone).astimezone(UTC)
    assert hours.next_open(night, zone) == opening
    later = hours.after(parse_duration("1 business day"), opening.astimezone(UTC), zone)
    assert later == datetime.combine(day + one_day, time(1), zone)


def test_the_week_shows_a_day_that_begins_at_one_o_clock() -> None:
    """The evening before ends with the day, and not at one."""
    week = Week(date(2026, 8, 31), ZoneInfo("America/Santiago"))
    [row] = hours_rows(week, [Hours("nights", "Mo-Su 20:00-04:00")])
    assert row.days[5:] == ["00:00-04:00, 20:00-24:00", "01:00-04:00, 20:00-24:00"]


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    """For who works at night the Saturday is no business day, although work ends on it."""
    nights = Hours("nights", "Mo-Fr 20:00-04:00")
    monday, friday = date(2026, 3, 9), date(2026, 3, 6)
    assert nights.day_away(monday, -1, NEW_YORK) == friday
    assert nights.day_away(friday, 1, NEW_YORK) == monday
    later = nights.after(parse_duration("1 business day"), local("2026-03-06 21:00"), NEW_YORK)
    assert later == local("2026-03-09 21:00")
    assert ALWAYS.day_away(monday, -1, NEW_YORK) == date(2026, 3, 8)


def _next_weekday(day: date) -> date:
    day += timedelta(days=1)
    return day if day.weekday() < 5 else _next_weekday(day)


CLOSED = {
    "2026-12-24": "2026 Dec 24",
    "12-24": "Dec 24",
    "12-24 to 01-01": "Dec 24-Jan 01",
    "2026-12-24 to 2027-01-03": "2026 Dec 24-2027 Jan 03",
    "02-29": "Feb 29",
}


@pytest.mark.parametrize(("written", "days"), CLOSED.items())
def test_closing_days_are_read(written: str, days: str) -> None:
    """A day, a day of every year, and a stretch of either."""
    assert closed_days(written) == days
    hours = Hours("office", "24/7", "US", (days,))
    assert hours.next_open(datetime(2026, 11, 2, tzinfo=UTC), NEW_YORK) is not None


@pytest.mark.parametrize(
    "wrong",
    ["24.12.2026", "2026-13-01", "02-30", "2026-12-24 to 01-01", "2027-01-02 to 2026-12-24"],
)
def test_what_is_no_closing_day_is_refused(wrong: str) -> None:
    """Each with a hint of how days are written."""
    with pytest.raises(PydanticCustomError) as refused:
        closed_days(wrong)
    assert "write 2026-12-24" in str(refused.value.context)


def test_on_closing_days_everything_is_closed() -> None:
    """From Christmas Eve over the turn of every year, and on one summer day of one year."""
    days = tuple(closed_days(one) for one in ("12-24 to 01-01", "2026-08-14"))
    office = Hours("office", "Mo-Fr 08:00-17:00; PH off", "US", days)
    assert office.next_open(local("2026-12-23 18:00"), NEW_YORK) == local("2027-01-04 08:00")
    assert office.next_open(local("2027-12-23 18:00"), NEW_YORK) == local("2028-01-03 08:00")
    assert not office.is_open(local("2026-08-14 12:00"), NEW_YORK)
    assert office.is_open(local("2028-08-14 12:00"), NEW_YORK)
    business_day = parse_duration("1 business day")
    assert office.after(business_day, local("2026-12-23 12:00"), NEW_YORK) == local(
        "2027-01-04 12:00"
    )


BAVARIA = Hours("office", "Mo-Fr 08:00-17:00; PH off", "DE", subdivision="BY")
BERLIN = ZoneInfo("Europe/Berlin")


def at_noon(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 12, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("where", "is_open"), [("BY", False), ("BW", False), ("BE", True), (None, True)]
)
def test_holidays_of_a_part_of_a_country(where: str | None, is_open: bool) -> None:  # noqa: FBT001
    """Epiphany is one in Bavaria, and none in Berlin."""
    hours = Hours("office", "Mo-Fr 08:00-17:00; PH off", "DE", subdivision=where)
    assert hours.is_open(at_noon(2026, 1, 6), BERLIN) is is_open
    assert bool(hours.open_on(date(2026, 1, 6), BERLIN)) is is_open
    assert not hours.is_open(at_noon(2026, 1, 1), BERLIN)


def test_the_next_opening_after_holidays_of_a_part() -> None:
    """Over the holiday, the weekend, and closing days of the firm; business days, too."""
    monday = datetime(2026, 1, 5, 17, 30, tzinfo=BERLIN)
    opening = BAVARIA.next_open(monday, BERLIN)
    assert opening == datetime(2026, 1, 7, 8, tzinfo=BERLIN)
    closed = replace(BAVARIA, closed=("Jan 07-Jan 08",))
    assert closed.next_open(monday, BERLIN) == datetime(2026, 1, 9, 8, tzinfo=BERLIN)
    noon = at_noon(2026, 1, 5)
    assert BAVARIA.after(parse_duration("1 business day"), noon, BERLIN) == at_noon(2026, 1, 7)
    hours = BAVARIA.after(parse_duration("6 business hours"), noon, BERLIN)
    assert hours == datetime(2026, 1, 7, 9, tzinfo=BERLIN)


def test_hours_on_holidays_of_a_part() -> None:
    """PH may have hours of its own, alone or with other days."""
    hours = Hours("shop", "Mo-Fr 08:00-18:00; Sa,PH 10:00-12:00", "DE", subdivision="BY")
    assert hours.is_open(at_noon(2026, 1, 6).replace(hour=11), BERLIN)
    assert not hours.is_open(at_noon(2026, 1, 6).replace(hour=15), BERLIN)
    assert hours.is_open(at_noon(2026, 1, 7).replace(hour=15), BERLIN)


def test_a_part_without_any_other_holiday_is_like_its_country() -> None:
    """Over two years, what the two libraries know of national holidays is the same."""
    whole = Hours("office", "Mo-Fr 08:00-17:00; PH off", "DE")
    part = replace(whole, subdivision="HE")
    days = [date(2026, 1, 1) + timedelta(days=one) for one in range(730)]
    openings = [(one, whole.open_on(one, BERLIN), part.open_on(one, BERLIN)) for one in days]
    other = [one for one, there, here in openings if there != here]
    assert {f"{one:%b}" for one in other} <= {"May", "Jun"}  # Corpus Christi
    assert len(other) == 2
