"""What a change of rules or zones means for a task that waits for its alarms."""

from dataclasses import replace
from datetime import datetime, time, timedelta
from operator import itemgetter
from zoneinfo import ZoneInfo

import orjson
from hypothesis import given
from hypothesis import strategies as st

from service.domain.alarm_sets import AlarmSet, carried_over, owed
from service.domain.alarms import OVERDUE, Alarm, AnnouncedUntil, due
from service.domain.model import Kind, Task
from service.domain.opening_hours import Hours
from tests.harness.tasks import START, moments, task

LONDON, ALASKA = ZoneInfo("Europe/London"), ZoneInfo("America/Anchorage")
OFFICE = Hours("office", "Mo-Fr 08:00-17:00; PH off", "US", ("Dec 24", "Dec 25"), "CA")
END = START + timedelta(days=9)
ALARMS = [
    OVERDUE,
    Alarm(Kind.OVERDUE, "due", timedelta(hours=1)),
    Alarm(Kind.REMINDER, "start", timedelta(days=-1), time(16, 0)),
    Alarm(Kind.REMINDER, "due", timedelta(days=2), time(9, 30)),
    Alarm(Kind.REMINDER, "start", timedelta(days=-1), time(16, 0), is_business=True, hours=OFFICE),
]
alarm_sets = st.builds(
    AlarmSet, st.frozensets(st.sampled_from(ALARMS)), st.sampled_from([LONDON, ALASKA])
)
hours = st.integers(-72, 72).map(lambda number: START + timedelta(hours=number))


@given(alarm_sets)
def test_a_watch_is_read_as_it_was_written(alarm_set: AlarmSet) -> None:
    """Whoever finds it in the database knows which alarms those were, under the same name."""
    again = AlarmSet.from_rows(orjson.loads(orjson.dumps(alarm_set.rows())), alarm_set.zone)
    assert again == alarm_set
    assert again.id == alarm_set.id


def test_other_opening_hours_are_another_watch() -> None:
    """An alarm in business days is recomputed when a holiday is added."""
    *_, business = ALARMS
    longer = replace(OFFICE, closed=("Dec 24", "Dec 25", "Dec 26"))
    changed = replace(business, hours=longer)
    first, second = (AlarmSet(frozenset({one}), LONDON).id for one in (business, changed))
    assert first != second


def test_another_zone_is_another_watch() -> None:
    """The same alarms in another time zone are another watch, with an id of its own."""
    alarms = frozenset(ALARMS)
    assert AlarmSet(alarms, LONDON).id != AlarmSet(alarms, ALASKA).id


@given(
    one=st.builds(task, due=moments, start=moments),
    first=alarm_sets,
    changes=st.lists(st.tuples(hours, alarm_sets), max_size=4),
)
def test_whatever_changes_an_alarm_that_stays_rings_once(
    one: Task, first: AlarmSet, changes: list[tuple[datetime, AlarmSet]]
) -> None:
    """Under any succession of watches: nothing twice, and nothing that stays is forgotten."""
    told: list[Alarm] = []
    announced_until: AnnouncedUntil = {}
    alarm_set = first
    for since, new in sorted(changes, key=itemgetter(0)):
        told += [ring.alarm for ring in owed(one, announced_until, alarm_set, new, since, since)]
        announced_until, alarm_set = carried_over(one, announced_until, alarm_set, new, since), new
    told += [
        ring.alarm for ring in due(one, alarm_set.alarms, alarm_set.zone, announced_until, END)
    ]
    for alarm in frozenset.intersection(first.alarms, *(new.alarms for _, new in changes)):
        rings = alarm.instant(one, LONDON) is not None
        assert told.count(alarm) <= int(rings)
        assert alarm.offset < timedelta(0) or told.count(alarm) == int(rings)


def test_what_was_told_by_another_zone_is_not_told_again_by_the_first() -> None:
    """London, Alaska and London again: an alarm that Alaska brought forward has rung."""
    eve = Alarm(Kind.REMINDER, "start", timedelta(days=-1), time(16))
    here, there = AlarmSet(frozenset({eve}), LONDON), AlarmSet(frozenset({eve}), ALASKA)
    one = task(start=START - timedelta(hours=4))
    away, back = START - timedelta(hours=21), START - timedelta(hours=5)
    assert [ring.alarm for ring in owed(one, {}, here, there, away, away)] == [eve]
    announced_until = carried_over(one, {}, here, there, away)
    assert owed(one, announced_until, there, here, back, back) == []
