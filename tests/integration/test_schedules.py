"""Schedules: each slot comes once in each account, in its zone, over every restart."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, begun, corridor, go_round

# The tests begin on Friday 6 March 2026 at noon in UTC, seven in the morning in New York.
DAILY = """
- id: daily
  when: { schedule: "30 7 * * *" }
  accounts: [field]
  then: [{ notify: "slack:#office", text: "Good morning: {{ event.at | local: '%a %H:%M' }}" }]
"""
EACH = """
- id: nudge
  when: { schedule: "30 7 * * *" }
  accounts: [field]
  for_each: tasks.filter(t, !t.done && has(t.due) && t.due < now + duration("24h"))
  if: task.title != "secret"
  once_per: [task.id]
  then: [{ notify: "slack:#office", text: "Today: {{ task.title }}" }]
"""
MORNING_LIST = """
- id: morning-list
  when: { schedule: "30 7 * * 1-5" }
  accounts: [field]
  for_each: tasks.filter(t, !t.done && has(t.due) && t.due < now + duration("24h"))
  group: { by: task.title }
  then:
    - notify: slack:#office
      text: "{{ group.tasks | size }}: {{ group.tasks | map: 'title' | join: ', ' }}"
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that says good morning."""
    async with begun(folder, pool, clock, DAILY) as made:
        yield made


async def pass_by(taskbell: Corridor, **time: float) -> None:
    """Let time pass, and send what is due."""
    await taskbell.tick(**time)
    await taskbell.deliver()


async def visit(taskbell: Corridor, name: str, **until: float) -> str:
    """A visit of this name that is due in so long; its id."""
    end = taskbell.clock.now() + timedelta(**until)
    made = taskbell.visit(name=name, scheduled_at=end - timedelta(hours=1), ends_at=end)
    await taskbell.webhook(made)
    return str(made["id"])


async def test_each_morning_once(taskbell: Corridor) -> None:
    """At half past seven of the account's own clock, day by day, and at no other time."""
    await pass_by(taskbell, minutes=28)
    assert taskbell.posts == []
    await pass_by(taskbell, minutes=1)
    assert taskbell.posts == ["Good morning: Fri 07:30"]
    for _ in range(6 * 24):
        await pass_by(taskbell, minutes=20)
    assert taskbell.posts == [
        "Good morning: Fri 07:30",
        "Good morning: Sat 07:30",
        "Good morning: Sun 07:30",  # the night before had an hour less
    ]


async def test_a_slot_is_an_event_without_a_task(taskbell: Corridor) -> None:
    """It can be seen among the events, and what it sends names it."""
    await pass_by(taskbell, minutes=29)
    [event] = await taskbell.pool.fetch("SELECT * FROM events")
    assert (event["kind"], event["task"], event["cause"]) == ("scheduled", "", "clock")
    assert event["alarm"] == "30 7 * * *"
    assert event["at"] == datetime(2026, 3, 6, 12, 30, tzinfo=UTC)
    assert [one["event"] for one in await taskbell.deliveries()] == [event["id"]]
    assert await taskbell.reasons() == ["schedule 30 7 * * *"]


async def test_restarts_neither_double_nor_lose_a_slot(taskbell: Corridor) -> None:
    """A worker that begins anew before, at and after each slot."""
    for _ in range(5 * 24):
        await taskbell.restart(DAILY)
        await pass_by(taskbell, minutes=12)
    assert taskbell.posts == ["Good morning: Fri 07:30"]


async def test_a_worker_that_begins_anew_owes_the_slot(taskbell: Corridor) -> None:
    """It was down at half past seven and is up ten minutes later, with the same rules."""
    taskbell.clock.advance(timedelta(minutes=40))
    await taskbell.restart(DAILY)
    await pass_by(taskbell)
    assert taskbell.posts == ["Good morning: Fri 07:30"]


async def test_two_workers_fire_once(taskbell: Corridor) -> None:
    """However many rounds go side by side, each slot is one event."""
    for days in range(1, 4):
        await asyncio.gather(*(go_round(taskbell.worker) for _ in range(4)))
        taskbell.clock.set(datetime(2026, 3, 8 + days, 11, 30, tzinfo=UTC))
    await asyncio.gather(*(go_round(taskbell.worker) for _ in range(4)))
    assert await taskbell.events() == ["scheduled by clock"] * 3


async def test_a_slot_that_was_slept_through_comes_late(taskbell: Corridor) -> None:
    """Down from seven to a quarter past eight: once, and it says how late."""
    await pass_by(taskbell, minutes=74)
    assert taskbell.posts == ["Good morning: Fri 07:30"]
    assert await taskbell.reasons() == ["schedule 30 7 * * *, 45 minutes late"]
    await pass_by(taskbell, hours=20)
    assert len(taskbell.posts) == 1


async def test_what_is_an_hour_late_does_not_come(taskbell: Corridor) -> None:
    """Down until noon: nobody wants a good morning any more; the next day is as usual."""
    await pass_by(taskbell, hours=5)
    assert taskbell.posts == []
    await pass_by(taskbell, hours=19, minutes=29)
    assert taskbell.posts == ["Good morning: Sat 07:30"]


async def test_a_new_rule_makes_up_for_nothing(taskbell: Corridor) -> None:
    """Added at a quarter to eight, or given another time, it begins with its next slot."""
    await taskbell.restart("- { id: other, when: task.created, then: [{ wait: 1s }] }")
    taskbell.clock.advance(timedelta(minutes=44))
    await taskbell.restart(DAILY)
    await pass_by(taskbell)
    await taskbell.restart(DAILY.replace("30 7", "40 7"))
    await pass_by(taskbell)
    assert taskbell.posts == []
    await taskbell.restart(DAILY.replace("30 7", "50 7"))
    await pass_by(taskbell, minutes=5)
    assert taskbell.posts == ["Good morning: Fri 07:50"]


async def test_another_zone_is_another_schedule(taskbell: Corridor) -> None:
    """Moved to Berlin, where it is the afternoon, it comes the next morning there."""
    await taskbell.restart(DAILY, zone="Europe/Berlin")
    await pass_by(taskbell, hours=1)
    assert taskbell.posts == []
    taskbell.clock.set(datetime(2026, 3, 7, 6, 30, tzinfo=UTC))
    await pass_by(taskbell)
    assert taskbell.posts == ["Good morning: Sat 07:30"]


async def test_an_hour_forward_and_back_doubles_nothing(taskbell: Corridor) -> None:
    """A clock that is set wrong and right again: early once, and not again."""
    await pass_by(taskbell, hours=1)
    taskbell.clock.advance(timedelta(hours=-1))
    for _ in range(12):
        await pass_by(taskbell, minutes=10)
    assert len(taskbell.posts) == 1


async def test_nothing_comes_before_the_first_sync(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Schedules of an account do not come before its first sync is complete."""
    async with corridor(folder, pool, clock, DAILY) as taskbell:
        await pass_by(taskbell, minutes=30)
        assert taskbell.posts == []
        await taskbell.begin()
        await pass_by(taskbell)
        assert taskbell.posts == ["Good morning: Fri 07:30"]


async def test_for_each_asks_the_rule_for_every_chosen_task(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Those due within a day, the first in front; `if` and `once_per` count for each."""
    async with begun(folder, pool, clock, EACH) as taskbell:
        await visit(taskbell, "gutters", hours=20)
        await visit(taskbell, "roof", hours=4)
        await visit(taskbell, "secret", hours=5)
        await visit(taskbell, "fence", days=3)
        await pass_by(taskbell, minutes=29)
        assert sorted(taskbell.posts) == ["Today: gutters", "Today: roof"]
        rows = await taskbell.pool.fetch(
            "SELECT after ->> 'title' AS title FROM events WHERE kind = 'scheduled' ORDER BY id"
        )
        assert [row["title"] for row in rows] == [None, "roof", "secret", "gutters"]
        assert (await taskbell.reasons())[0] == "schedule 30 7 * * *: 3 of 4 tasks chosen"
        await pass_by(taskbell, days=1)
        assert len(taskbell.posts) == 2


async def test_a_chosen_task_that_is_done_is_withdrawn(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """What waits for the office to open is not sent about a visit that is done by then."""
    async with begun(folder, pool, clock, EACH.replace("then:", "hours: office\n  then:")) as one:
        number = await visit(one, "roof", hours=4)
        await pass_by(one, minutes=29)
        assert await one.states() == ["held"]
        await one.webhook(one.sandbox.kickserv.finish(number))
        await pass_by(one, hours=2)
        assert await one.states() == ["cancelled"]


async def test_the_morning_list(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """What is due within a day, one message for each group; the weekend has none."""
    async with begun(folder, pool, clock, MORNING_LIST) as taskbell:
        for name, hours in (("roof", 4), ("roof", 20), ("fence", 5), ("gate", 100)):
            await visit(taskbell, name, hours=hours)
        await pass_by(taskbell, minutes=29)
        assert sorted(taskbell.posts) == ["1: fence", "2: roof, roof"]
        assert await taskbell.reasons() == [
            "schedule 30 7 * * 1-5: 3 of 4 tasks chosen",
            "combined message for fence: 1 task",
            "combined message for roof: 2 tasks",
        ]
        await pass_by(taskbell, days=2)
        assert len(taskbell.posts) == 2


async def test_a_morning_without_tasks_says_so(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Nothing due: no message, and a decision that says how many were looked through."""
    async with begun(folder, pool, clock, MORNING_LIST) as taskbell:
        await visit(taskbell, "gate", days=9)
        await pass_by(taskbell, minutes=29)
        assert taskbell.posts == []
        assert await taskbell.reasons() == ["schedule 30 7 * * 1-5: 0 of 1 tasks chosen"]
