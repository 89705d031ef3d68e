"""When the clock has something to say."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.alarms import (
    OVERDUE,
    Alarm,
    WatchedDates,
    announced_by,
    date_of,
    due,
    missed,
    next_alarm,
)
from service.domain.model import Kind, Task
from service.domain.opening_hours import Hours
from tests.harness import wall_clock
from tests.harness.tasks import START, task, tasks

UTC_ZONE = ZoneInfo("UTC")
NEW_YORK = ZoneInfo("America/New_York")
SOON = Alarm(Kind.DUE_SOON, "due", timedelta(minutes=-30))
DATES = WatchedDates(frozenset({"due", "start"}), UTC_ZONE)
LATE = Alarm(Kind.OVERDUE, "due", timedelta(hours=2))
EXAMPLES = 3000 if settings.get_current_profile_name() == "soak" else 400
ALARMS = (OVERDUE, SOON, LATE, Alarm(Kind.STARTING_SOON, "start", timedelta(hours=-1)))


def test_an_open_task_is_overdue_the_moment_it_is_due() -> None:
    """The alarm rings at the due time, not before it."""
    one = task(due=START)
    assert due(one, [OVERDUE], UTC_ZONE, {}, START - timedelta(seconds=1)) == []
    assert [ring.at for ring in due(one, [OVERDUE], UTC_ZONE, {}, START)] == [START]


def test_what_was_rung_is_not_rung_again() -> None:
    """Once the clock was rung past an alarm, it is silent until the date moves."""
    one, announced_until = task(due=START), {"due": START}
    assert due(one, [OVERDUE], UTC_ZONE, announced_until, START + timedelta(days=1)) == []
    assert next_alarm(one, [OVERDUE, LATE], UTC_ZONE, announced_until) == START + timedelta(hours=2)


def test_a_date_that_moved_rings_anew() -> None:
    """A task put off is not overdue until it is due again."""
    later = task(due=START + timedelta(days=1))
    announced_until = DATES.moved(task(due=START), later, {"due": START, "start": START})
    assert announced_until == {"start": START}
    assert next_alarm(later, [OVERDUE], UTC_ZONE, announced_until) == START + timedelta(days=1)


def test_what_has_begun_is_not_about_to_begin() -> None:
    """That a visit starts soon was missed when it has begun, but not if it is entered only then."""
    one = task(start=START)
    soon = Alarm(Kind.STARTING_SOON, "start", timedelta(minutes=-30))
    now = START + timedelta(hours=5)
    [found] = due(one, [soon], UTC_ZONE, {}, now)
    assert missed(str(found.alarm), one, now, UTC_ZONE) == ("start", START)
    assert missed(str(found.alarm), one, found.at, UTC_ZONE) is None
    assert (
        due(
            one,
            [soon],
            UTC_ZONE,
            DATES.belated(None, one, now),
            now,
        )
        == []
    )


def test_a_day_has_no_time_to_count_from() -> None:
    """Half an hour before a day begins is in the night; a time of the day before is none of it."""
    midnight = datetime(2026, 3, 7, 5, tzinfo=UTC)
    visit = task(start=midnight, start_is_day=True, end=midnight, end_is_day=True)
    for field in ("start", "end"):
        for hours in (-24, -1, 2):
            assert (
                Alarm(Kind.REMINDER, field, timedelta(hours=hours)).instant(visit, NEW_YORK) is None
            )
    eve = Alarm(Kind.REMINDER, "start", timedelta(days=-1), time(16))
    assert eve.instant(visit, NEW_YORK) == datetime(2026, 3, 6, 21, tzinfo=UTC)
    assert OVERDUE.instant(task(due=midnight, due_is_day=True), NEW_YORK) == midnight


def test_a_day_that_comes_down_to_another_moment_is_not_announced_again() -> None:
    """Another `due_by` of the account: what was overdue is; what was not yet is so by then."""
    noon, night = task(due=START, due_is_day=True), START + timedelta(hours=11)
    after = task(due=night, due_is_day=True)
    assert DATES.moved(noon, after, {"due": START}) == {"due": night}
    assert DATES.moved(noon, after, {"due": START - timedelta(hours=1)})["due"] < START
    assert (
        DATES.moved(noon, task(due=night + timedelta(days=1), due_is_day=True), {"due": START})
        == {}
    )


def test_a_done_task_has_no_alarms() -> None:
    """No alarm of a task that is done is due, whatever its dates."""
    one = task(due=START, done=True)
    assert due(one, ALARMS, UTC_ZONE, {}, START + timedelta(days=1)) == []
    assert next_alarm(one, ALARMS, UTC_ZONE, {}) is None


def test_a_time_of_day_is_the_accounts_own() -> None:
    """The day before at 16:00 means 16:00 on the firm's wall, across the change to summer time."""
    visit = task(start=datetime(2026, 3, 8, 15, 0, tzinfo=UTC))  # Sunday 11:00 EDT, an hour after
    reminder = Alarm(Kind.REMINDER, "start", timedelta(days=-1), time(16, 0))
    instant = reminder.instant(visit, NEW_YORK)
    assert instant == datetime(2026, 3, 7, 21, 0, tzinfo=UTC)  # Saturday 16:00 EST


@settings(max_examples=EXAMPLES)
@given(
    place=wall_clock.places,
    at=wall_clock.times,
    start=wall_clock.times,
    away=st.integers(-1, 1),
)
def test_a_time_of_day_is_what_the_clock_on_the_wall_shows(
    place: tuple[ZoneInfo, date], at: time, start: time, away: int
) -> None:
    """Days before or after, in any zone, also where an hour is left out or comes twice."""
    zone, day = place
    alarm = Alarm(Kind.REMINDER, "start", timedelta(days=away), at)
    visit = task(start=wall_clock.shown(day, start, zone))
    assert alarm.instant(visit, zone) == wall_clock.shown(day + timedelta(days=away), at, zone)


@given(tasks, st.integers(0, 48), st.integers(0, 48))
def test_looking_often_or_once_rings_the_same(one: Task, first: int, second: int) -> None:
    """However the ticks fall, each alarm that is still true rings once and none twice."""
    early = START + timedelta(hours=min(first, second))
    late = START + timedelta(hours=max(first, second))
    at_first = due(one, ALARMS, UTC_ZONE, {}, early)
    afterwards = due(one, ALARMS, UTC_ZONE, {"due": early, "start": early}, late)
    assert not set(at_first) & set(afterwards)
    at_once = due(one, ALARMS, UTC_ZONE, {}, late)
    assert set(at_once) <= set(at_first) | set(afterwards)


@given(tasks)
def test_the_next_alarm_is_when_something_rings(one: Task) -> None:
    """Nothing rings before the next alarm, so sleeping until then misses nothing."""
    at = next_alarm(one, ALARMS, UTC_ZONE, {})
    if at is None:
        assert due(one, ALARMS, UTC_ZONE, {}, START + timedelta(days=99)) == []
    else:
        assert due(one, ALARMS, UTC_ZONE, {}, at - timedelta(seconds=1)) == []


@pytest.mark.parametrize("name", ["renewal", "Renewal date", "a-1s", "größe", "a:b+2s"])
def test_a_custom_date_has_any_name(name: str) -> None:
    """An alarm, and each mark of its date, tells which date it is about."""
    field = f"fields.{name}"
    for at in (None, time(9)):
        alarm = Alarm(Kind.REMINDER, field, timedelta(days=-2), at)
        assert date_of(str(alarm)) == field
        one = task(fields={name: "2026-03-06T12:00:00Z"})
        dates = WatchedDates(frozenset({field}), UTC_ZONE)
        announced_until = {**dates.belated(None, one, START), alarm.mark: START, field: START}
        assert (
            DATES.moved(one, task(fields={name: "2026-03-06T13:00:00+01:00"}), announced_until)
            == announced_until
        )
        assert DATES.moved(one, task(fields={name: "2026-03-07"}), announced_until) == {}


def test_a_custom_day_rings_at_a_time_of_it() -> None:
    """Without a time of its own, it is nothing that an alarm can count hours from."""
    one = task(fields={"renewal": "2026-03-07"})
    alarm = Alarm(Kind.REMINDER, "fields.renewal", timedelta(days=-1))
    assert alarm.lacks_time(one)
    at_nine = replace(alarm, at=time(9))
    assert at_nine.instant(one, NEW_YORK) == datetime(2026, 3, 6, 14, tzinfo=UTC)


OFFICE = Hours("office", "Mo-Fr 08:00-17:00; PH off", "US", ("Mar 05",))


@pytest.mark.parametrize(
    ("start", "days", "at", "rings"),
    [
        ("2026-03-09 10:00", -1, time(16), "2026-03-06 16:00"),  # a Monday; the clocks change
        ("2026-03-09 10:00", -2, time(16), "2026-03-04 16:00"),  # closed on the fifth
        ("2026-03-07 10:00", -1, time(16), "2026-03-06 16:00"),  # a Saturday
        ("2026-03-10 10:00", -1, None, "2026-03-09 10:00"),
        ("2026-07-06 10:00", -1, time(9), "2026-07-02 09:00"),  # the third is the fourth, observed
        ("2026-03-06 10:00", 1, None, "2026-03-09 10:00"),
        ("2026-03-07 10:00", 1, time(8), "2026-03-09 08:00"),
        ("2026-03-04 10:00", 3, time(8), "2026-03-10 08:00"),
    ],
)
def test_business_days_before_and_after(start: str, days: int, at: time | None, rings: str) -> None:
    """Counted are the days on which the hours are open; the date's own day is none of them."""
    alarm = Alarm(Kind.REMINDER, "start", timedelta(days=days), at, is_business=True, hours=OFFICE)
    visit = task(start=datetime.fromisoformat(start).replace(tzinfo=NEW_YORK).astimezone(UTC))
    expected = datetime.fromisoformat(rings).replace(tzinfo=NEW_YORK)
    assert alarm.instant(visit, NEW_YORK) == expected
    assert announced_by(str(alarm), visit, NEW_YORK) == (
        None if days > 0 else ("start", visit.start)
    )


def test_business_days_that_never_come() -> None:
    """Hours that do not open have no day before any date: the alarm never fires."""
    never = replace(OFFICE, text="off")
    alarm = Alarm(Kind.REMINDER, "start", timedelta(days=-1), is_business=True, hours=never)
    assert alarm.instant(task(start=datetime(2026, 3, 9, tzinfo=UTC)), NEW_YORK) is None


def test_an_alarm_in_business_days_is_another_one() -> None:
    """Its name differs from that of an alarm in days, and is understood."""
    plain = Alarm(Kind.REMINDER, "start", timedelta(days=-1), time(16))
    business = replace(plain, is_business=True, hours=OFFICE)
    assert (str(plain), str(business)) == (
        "reminder:start-86400s@16:00",
        "reminder:start-1bd@16:00",
    )
    assert date_of(str(business)) == "start"
