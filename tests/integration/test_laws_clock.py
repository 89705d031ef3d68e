"""Law 11: bells by the clock ring once, at their time, whatever happens to clock and processes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.clock import VirtualClock
from service.maintenance import prune
from service.settings import read_settings
from service.store import Pool
from tests.harness.corridor import Corridor, corridor, kinds

NEW_YORK = ZoneInfo("America/New_York")
RULES = """
- { id: soon, when: { task.due_soon: 1h }, then: [{ notify: accounting }] }
- { id: begins, when: { task.starting_soon: 30m }, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
- { id: very-late, when: { task.overdue: 2h }, then: [{ notify: accounting }] }
- { id: eve, when: { before: task.start, by: 1 day, at: "16:00" },
    then: [{ notify: accounting }] }
"""
NO_BELLS = "- { id: made, when: task.created, enabled: false, then: [{ notify: accounting }] }"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell with a bell of every kind, after its first sync."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def visit_at(taskbell: Corridor, start: datetime, **length: float) -> str:
    """A new visit in Kickserv that Taskbell has heard of; its id."""
    end = start + (timedelta(**length) if length else timedelta(hours=1))
    visit = taskbell.visit(scheduled_at=start, ends_at=end)
    await taskbell.webhook(visit)
    return str(visit["id"])


async def rung(taskbell: Corridor) -> list[tuple[str, datetime]]:
    """The rules that told something, with the moment at which their bell was due, in order."""
    rows = await taskbell.pool.fetch(
        """
        SELECT rule, events.at FROM deliveries JOIN events ON events.id = event
        WHERE state <> 'expired' ORDER BY events.at, deliveries.id
        """
    )
    return [(row["rule"], row["at"]) for row in rows]


async def test_every_bell_rings_once_at_its_time(taskbell: Corridor) -> None:
    """Minute by minute through a visit's day: each bell in the minute in which it is due."""
    start = datetime(2026, 3, 7, 15, 0, tzinfo=UTC)
    await visit_at(taskbell, start)
    while taskbell.clock.now() < start + timedelta(hours=4):
        before = len(await rung(taskbell))
        await taskbell.tick(minutes=10)
        for _, due in (await rung(taskbell))[before:]:
            assert timedelta(0) <= taskbell.clock.now() - due < timedelta(minutes=10)
    assert {rule: due - start for rule, due in await rung(taskbell)} == {
        "eve": timedelta(hours=6) - timedelta(days=1),
        "begins": timedelta(minutes=-30),
        "soon": timedelta(0),
        "late": timedelta(hours=1),
        "very-late": timedelta(hours=3),
    }
    assert len(await taskbell.deliveries()) == 5


async def test_restarts_neither_double_nor_lose_a_bell(taskbell: Corridor) -> None:
    """A worker that begins anew before, at and after each bell: one of each."""
    start = taskbell.clock.now() + timedelta(hours=30)
    await visit_at(taskbell, start)
    while taskbell.clock.now() < start + timedelta(hours=4):
        await taskbell.restart(RULES)
        await taskbell.tick(minutes=20)
    assert [rule for rule, _ in await rung(taskbell)] == [
        "eve",
        "begins",
        "soon",
        "late",
        "very-late",
    ]


async def test_a_long_sleep_rings_what_is_still_true(taskbell: Corridor) -> None:
    """Back after two days: it is overdue, once each; that it begins soon is no longer so."""
    await visit_at(taskbell, taskbell.clock.now() + timedelta(hours=30))
    await taskbell.tick(days=2)
    assert [rule for rule, _ in await rung(taskbell)] == ["late", "very-late"]


async def test_an_hour_forward_and_back_rings_nothing_twice(taskbell: Corridor) -> None:
    """A clock that is set wrong and right again: early once, never again, and on time after."""
    now = taskbell.clock.now()
    early = await visit_at(taskbell, now - timedelta(minutes=30))
    await taskbell.tick(hours=1)
    assert kinds(await taskbell.events(early))[-1] == "overdue"
    count = len(await taskbell.events(early))
    taskbell.clock.advance(timedelta(hours=-1))
    for _ in range(6):
        await taskbell.tick(minutes=10)
    assert len(await taskbell.events(early)) == count

    await visit_at(taskbell, now + timedelta(hours=3))
    await taskbell.tick(hours=6)
    assert {rule for rule, at in await rung(taskbell) if at > now + timedelta(hours=2)} == {
        "late",
        "very-late",
    }


async def test_two_workers_ring_once(taskbell: Corridor) -> None:
    """However many rounds the clock makes side by side, each bell is one event."""
    for _ in range(40):
        await visit_at(taskbell, taskbell.clock.now() + timedelta(hours=2), hours=1)
    taskbell.clock.advance(timedelta(hours=4))
    await asyncio.gather(*(taskbell.tick() for _ in range(4)))
    assert kinds(await taskbell.events()).count("overdue") == 40


async def test_what_was_due_years_ago_is_remembered_as_news(taskbell: Corridor) -> None:
    """An old task that turns up is overdue now, and its event is kept for as long as others."""
    await taskbell.restart(NO_BELLS)
    await visit_at(taskbell, taskbell.clock.now() - timedelta(days=800))
    await taskbell.tick(seconds=1)
    await prune.prune(taskbell.pool, read_settings({}), taskbell.clock.now())
    assert kinds(await taskbell.events()) == ["created", "overdue"]


async def test_a_task_that_moved_rings_anew(taskbell: Corridor) -> None:
    """Put off after it was overdue, it is overdue again at the new time."""
    number = await visit_at(taskbell, taskbell.clock.now() + timedelta(hours=1))
    await taskbell.tick(hours=3)
    later = taskbell.clock.now() + timedelta(hours=5)
    moved = taskbell.sandbox.kickserv.change(number, scheduled_at=later, ends_at=later)
    await taskbell.webhook(moved)
    await taskbell.tick(hours=4)
    assert kinds(await taskbell.events(number)).count("overdue") == 1
    await taskbell.tick(hours=2)
    assert kinds(await taskbell.events(number)).count("overdue") == 2


async def test_a_task_that_is_reopened_rings_anew(taskbell: Corridor) -> None:
    """Finished late and opened again, it is overdue again."""
    number = await visit_at(taskbell, taskbell.clock.now() + timedelta(hours=1))
    await taskbell.tick(hours=3)
    for change in ({"completed_on": "2026-03-06"}, {"completed_on": None}):
        taskbell.clock.advance(timedelta(minutes=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.change(number, **change))
    await taskbell.tick(minutes=1)
    assert [rule for rule, _ in await rung(taskbell)] == ["late", "late"]
    assert kinds(await taskbell.events(number))[-3:] == ["completed", "reopened", "overdue"]


async def test_a_changed_title_rings_nothing_anew(taskbell: Corridor) -> None:
    """An alarm that has rung does not ring again when another field of the task changes."""
    number = await visit_at(taskbell, taskbell.clock.now() + timedelta(hours=1))
    await taskbell.tick(hours=3)
    rings = len(await rung(taskbell))
    await taskbell.webhook(taskbell.sandbox.kickserv.change(number, name="other"))
    await taskbell.tick(minutes=1)
    assert len(await rung(taskbell)) == rings


async def test_done_never_rings(taskbell: Corridor) -> None:
    """A visit finished in time is not overdue, nor is one that is gone."""
    done = await visit_at(taskbell, taskbell.clock.now() + timedelta(hours=9))
    gone = await visit_at(taskbell, taskbell.clock.now() + timedelta(hours=9))
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(done))
    taskbell.sandbox.kickserv.delete(gone)
    await taskbell.webhook({"id": gone})
    await taskbell.look_up()
    await taskbell.tick(days=3)
    assert await rung(taskbell) == []


@pytest.mark.parametrize(
    ("start", "rings"),
    [
        # Two in the morning of 8 March does not exist; 1 November has 25 hours.
        ("2026-03-09 00:30", "2026-03-08 16:00"),
        ("2026-03-08 03:30", "2026-03-07 16:00"),
        ("2026-11-01 23:30", "2026-10-31 16:00"),
        ("2026-11-02 00:30", "2026-11-01 16:00"),
    ],
)
async def test_the_day_before_is_by_the_local_calendar(
    start: str, rings: str, taskbell: Corridor
) -> None:
    """Four in the afternoon of the day before, also where a day has 23 or 25 hours."""
    taskbell.clock.set(in_new_york(start) - timedelta(days=3))
    await visit_at(taskbell, in_new_york(start))
    await taskbell.tick(days=2, hours=23)
    assert dict(await rung(taskbell))["eve"] == in_new_york(rings)


def in_new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)
