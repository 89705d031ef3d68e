"""Schedules: what cron expressions name, where the clocks change too, and how long it is owed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.schedules import LATE, Schedule, lateness, parse_cron

NEW_YORK = ZoneInfo("America/New_York")
MORNING = Schedule("30 7 * * 1-5", NEW_YORK)
CRONS = ["30 7 * * 1-5", "30 1 * * *", "30 2 * * *", "*/15 * * * *", "0 0 1 * *", "0 9 * * MON#1"]

moments = st.integers(0, 300 * 24 * 60).map(
    lambda minutes: datetime(2026, 2, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


def local(moment: datetime | None) -> str:
    assert moment is not None
    return f"{moment.astimezone(NEW_YORK):%Y-%m-%d %H:%M %z}"


@pytest.mark.parametrize(
    ("cron", "after", "slot"),
    [
        ("30 7 * * 1-5", "2026-03-06 07:30", "2026-03-09 07:30 -0400"),
        ("30 2 * * *", "2026-03-07 12:00", "2026-03-08 03:00 -0400"),  # there is no half past two
        ("30 1 * * *", "2026-10-31 12:00", "2026-11-01 01:30 -0400"),  # there are two half past one
        ("30 1 * * *", "2026-11-01 01:30", "2026-11-02 01:30 -0500"),
        ("*/30 * * * *", "2026-11-01 01:30", "2026-11-01 01:00 -0500"),  # every half hour, it is
        ("0 9 L * *", "2026-02-01 00:00", "2026-02-28 09:00 -0500"),
    ],
)
def test_the_next_slot_is_by_the_local_clock(cron: str, after: str, slot: str) -> None:
    """Also where a night has an hour less or an hour more, as Debian's cron has it."""
    moment = datetime.fromisoformat(after).replace(tzinfo=NEW_YORK).astimezone(UTC)
    assert local(Schedule(cron, NEW_YORK).after(moment)) == slot


def test_inside_the_hour_that_comes_twice_nothing_lies_behind() -> None:
    """A quarter past one for the second time: half past one is over, and comes tomorrow."""
    second = datetime(2026, 11, 1, 1, 15, tzinfo=NEW_YORK, fold=1).astimezone(UTC)
    assert local(Schedule("30 1 * * *", NEW_YORK).after(second)) == "2026-11-02 01:30 -0500"


@given(st.sampled_from(CRONS), moments)
def test_slots_come_later_and_in_order(cron: str, moment: datetime) -> None:
    """Whoever goes from slot to slot never stands still and never goes back."""
    schedule = Schedule(cron, NEW_YORK)
    for _ in range(5):
        later = schedule.after(moment)
        assert later is not None
        assert later > moment
        moment = later


def test_what_was_missed_is_owed_for_an_hour() -> None:
    """Of several the last one; after an hour nothing any more."""
    every = Schedule("*/20 * * * *", NEW_YORK)
    due = datetime(2026, 3, 6, 12, 20, tzinfo=UTC)
    assert every.latest(due, due) == due
    assert every.latest(due, due + timedelta(minutes=50)) == due + timedelta(minutes=40)
    slot = datetime(2026, 3, 6, 12, 30, tzinfo=UTC)
    assert MORNING.latest(slot, slot + LATE - timedelta(seconds=1)) == slot
    assert MORNING.latest(slot, slot + LATE) is None


def test_lateness_in_words() -> None:
    """Lateness is told in whole minutes, and not at all below one."""
    slot = datetime(2026, 3, 6, 12, 30, tzinfo=UTC)
    assert lateness(slot, slot + timedelta(seconds=50)) == ""
    assert lateness(slot, slot + timedelta(minutes=1)) == ", 1 minute late"
    assert lateness(slot, slot + timedelta(minutes=45)) == ", 45 minutes late"


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("30 7 * *", "a schedule must have five parts, not 4"),
        ("0 30 7 * * *", "a schedule must have five parts, not 6"),
        ("30 25 * * *", "25 is not a valid hour"),
        ("x 7 * * *", "x is not a valid minute"),
        ("0 7 30 2 *", "30 is not a valid day of month"),
        ("0 7 * * 1-9", "1-9 is not a valid day of week"),
    ],
)
def test_what_is_no_schedule_says_why(cron: str, message: str) -> None:
    """The message names the part of the expression that is wrong."""
    with pytest.raises(ValueError, match=message):
        parse_cron(cron)
