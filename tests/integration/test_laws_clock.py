"""Law 11: bells by the clock ring once, at their time, whatever happens to clock and processes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.clock import VirtualClock
from service.settings import read_settings
from service.store import Pool
from tests.corridor import Corridor, corridor, kinds
from workers import sweep

NEW_YORK = ZoneInfo("America/New_York")
RULES = """
- { id: soon, when: { task.due_soon: 1h }, then: [{ notify: accounting }] }
- { id: begins, when: { task.starting_soon: 30m }, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
- { id: very-late, when: { task.overdue: 2h }, then: [{ notify: accounting }] }
- { id: eve, when: { before: task.start, by: 1 day, at: "16:00" },
    then: [{ notify: accounting }] }
"""
SETTLING = """
- { id: quiet, when: task.completed, settle: { quiet: 2m, max: 5m },
    then: [{ notify: "slack:#office", text: "{{ task.title }} done" }] }
"""
OFF = SETTLING.replace("settle:", "enabled: false, settle:")


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
    """The rules that fired, with the moment at which their bell was due, in order."""
    rows = await taskbell.pool.fetch(
        """
        SELECT rule, events.at FROM deliveries JOIN events ON events.id = event
        ORDER BY events.at, deliveries.id
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
    await taskbell.restart(OFF)
    await visit_at(taskbell, taskbell.clock.now() - timedelta(days=800))
    await taskbell.tick(seconds=1)
    await sweep.prune(taskbell.pool, read_settings({}), taskbell.clock.now())
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
    assert kinds(await taskbell.events(number)) == [
        "created",
        "overdue",
        "completed",
        "reopened",
        "overdue",
    ]


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


async def test_settling_survives_a_restart(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """The two minutes of quiet are over while no worker runs: the next one speaks, once."""
    async with corridor(folder, pool, clock, SETTLING) as taskbell:
        await taskbell.begin()
        number = await visit_at(taskbell, clock.now() + timedelta(hours=1))
        clock.advance(timedelta(seconds=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(number))
        await taskbell.tick(seconds=90)
        await taskbell.deliver()
        assert taskbell.posts == []
        await taskbell.restart(SETTLING)
        await taskbell.tick(minutes=10)
        await taskbell.restart(SETTLING)
        await taskbell.tick(minutes=10)
        await taskbell.deliver()
        assert taskbell.posts == ["Clean the gutters done"]


async def test_nothing_left_of_a_change_is_a_decision(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Ticked off and on again within the two minutes: no message, and it says why."""
    async with corridor(folder, pool, clock, SETTLING) as taskbell:
        await taskbell.begin()
        number = await visit_at(taskbell, clock.now() + timedelta(hours=1))
        for change in ({"completed_on": "2026-03-06"}, {"completed_on": None}):
            clock.advance(timedelta(minutes=1))
            await taskbell.webhook(taskbell.sandbox.kickserv.change(number, **change))
        await taskbell.tick(minutes=10)
        assert await taskbell.deliveries() == []
        assert await taskbell.reasons() == [
            "when the task had been quiet, nothing was left of the change"
        ]


async def test_a_rule_that_is_gone_when_it_is_quiet_says_so(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Taken out or switched off while it waited: that is the reason, and not the task."""
    for rules in ("- { id: other, when: task.created, then: [{ wait: 1s }] }", OFF):
        async with corridor(folder, pool, clock, SETTLING) as taskbell:
            await taskbell.begin()
            number = await visit_at(taskbell, clock.now() + timedelta(hours=1))
            clock.advance(timedelta(seconds=1))
            await taskbell.webhook(taskbell.sandbox.kickserv.finish(number))
            await taskbell.restart(rules)
            await taskbell.tick(minutes=10)
            assert (await taskbell.reasons())[-1] == (
                "the rule was taken out or switched off while it waited"
            )


async def test_a_rule_says_what_was_left_when_it_is_not_its_own(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Ticked off, renamed and on again: a change is left, and none that the rule listens to."""
    async with corridor(folder, pool, clock, SETTLING) as taskbell:
        await taskbell.begin()
        number = await visit_at(taskbell, clock.now() + timedelta(hours=1))
        for change in ({"completed_on": "2026-03-06"}, {"completed_on": None, "name": "new"}):
            clock.advance(timedelta(minutes=1))
            await taskbell.webhook(taskbell.sandbox.kickserv.change(number, **change))
        await taskbell.tick(minutes=10)
        assert await taskbell.reasons() == [
            "when the task had been quiet, task.changed was left, to which the rule does not listen"
        ]


async def test_what_is_done_while_it_settles_is_told_of_no_more(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Renamed, and finished before the two minutes are over: as with all that waits."""
    rules = SETTLING.replace("task.completed", "{ task.changed: [title] }")
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        number = await visit_at(taskbell, clock.now() + timedelta(hours=1))
        for change in ({"name": "new"}, {"completed_on": "2026-03-06"}):
            clock.advance(timedelta(minutes=1))
            await taskbell.webhook(taskbell.sandbox.kickserv.change(number, **change))
        await taskbell.tick(minutes=10)
        assert await taskbell.deliveries() == []
        assert await taskbell.reasons() == [
            "when the task had been quiet, it was completed as well"
        ]


async def test_settling_is_put_off_only_so_long(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Whoever cannot leave a title alone is waited for no longer than `max`."""
    rules = SETTLING.replace("task.completed", "{ task.changed: [title] }")
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        number = await visit_at(taskbell, clock.now() + timedelta(hours=1))
        for minute in range(6):
            assert await taskbell.deliveries() == []
            await taskbell.tick(minutes=1)
            changed = taskbell.sandbox.kickserv.change(number, name=f"title {minute}")
            await taskbell.webhook(changed)
        await taskbell.tick()
        assert [one["text"] for one in await taskbell.deliveries()] == ["title 4 done"]
