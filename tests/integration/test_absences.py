"""What a whole list does not show any more is asked for by its id, at the next poll."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.store import Pool, absences
from service.store.lookups import Coverage
from tests.harness.corridor import Corridor, begun, kinds

RULES = "- { id: gone, when: task.deleted, then: [{ notify: accounting }] }"
OPEN = {"field": "kickserv", "sales": "rolodex"}


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def poll(taskbell: Corridor, account: str, *, full: bool = False) -> int:
    """A minute later; returns how many tasks were then read by their id."""
    await taskbell.tick(minutes=1)
    await taskbell.poll(account, full=full)
    requests = taskbell.sandbox.systems[OPEN[account]].record.requests
    requests.clear()
    await taskbell.look_up(account)
    return len(requests)


@pytest.mark.parametrize("account", OPEN)
async def test_a_deletion_is_told_at_the_next_poll(taskbell: Corridor, account: str) -> None:
    """Nobody waits for the full scan."""
    system = taskbell.sandbox.systems[OPEN[account]]
    later = {system.when: taskbell.clock.now() + timedelta(days=1)}
    gone, *_ = [str(system.make(**later)["id"]) for _ in range(10)]
    assert await poll(taskbell, account) == 0
    system.delete(gone)
    await poll(taskbell, account)
    assert await taskbell.events(gone) == ["created by poll", "deleted by fetch"]
    assert await poll(taskbell, account) == 0


async def test_a_hidden_task_costs_no_call_at_each_poll(taskbell: Corridor) -> None:
    """It is looked up once, once more an hour later, and at once when it was listed in between."""
    visits = [taskbell.visit(scheduled_at=taskbell.clock.now() + timedelta(days=3)) for _ in "123"]
    number = str(visits[0]["id"])
    kickserv = taskbell.sandbox.kickserv
    assert await poll(taskbell, "field", full=True) == 0
    kickserv.hidden.add(number)
    assert [await poll(taskbell, "field") for _ in range(5)] == [1, 0, 0, 0, 0]
    taskbell.clock.advance(timedelta(hours=1))
    assert [await poll(taskbell, "field") for _ in range(3)] == [1, 0, 0]
    assert await poll(taskbell, "field", full=True) == 1, "somebody wants everything read"
    kickserv.hidden.clear()
    assert await poll(taskbell, "field") == 0
    kickserv.delete(number)
    assert await poll(taskbell, "field") >= 1
    assert kinds(await taskbell.events(number)) == ["created", "deleted"]


async def test_a_list_that_loses_much_is_asked_about_bit_by_bit(taskbell: Corridor) -> None:
    """No poll asks for thousands; what it has left the next one asks for."""
    visits = [taskbell.visit() for _ in range(450)]
    await poll(taskbell, "field", full=True)
    taskbell.sandbox.kickserv.hidden.update(str(one["id"]) for one in visits[:430])
    asked = [await poll(taskbell, "field") for _ in range(4)]
    assert asked == [200, 200, 30, 0]
    assert "deleted" not in kinds(await taskbell.events())


async def test_a_list_that_broke_off_asks_for_nothing(taskbell: Corridor) -> None:
    """It proves nothing, between two full scans as at one."""
    for _ in range(150):
        taskbell.visit()
    await poll(taskbell, "field", full=True)
    taskbell.sandbox.kickserv.set_quirks(loop=True)
    assert await poll(taskbell, "field") == 0
    taskbell.sandbox.kickserv.set_quirks(loop=False)
    await poll(taskbell, "field")
    assert "deleted" not in kinds(await taskbell.events())


async def fill(pool: Pool) -> None:
    """Thirty thousand tasks, and PostgreSQL has not looked at the table since it was empty."""
    await pool.execute("ALTER TABLE tasks SET (autovacuum_enabled = false)")
    await pool.execute(
        """
        INSERT INTO tasks (account, id, observed_at, snapshot)
        SELECT 'field', number::text, $1, json_build_object('title', repeat('-', 1500))
        FROM generate_series(1, 30000) AS number
        """,
        datetime(2026, 1, 1, tzinfo=UTC),
    )


PLANS = ("force_custom_plan", "force_generic_plan")


@pytest.mark.parametrize("plan", PLANS)
async def test_tasks_just_taken_up_are_compared_with_a_list_at_once(pool: Pool, plan: str) -> None:
    """Not each of them with each that is listed, whether it is planned for this list or for any."""
    await fill(pool)
    # More than a hash of them that is planned beforehand may take up in memory.
    listed = [str(number) for number in range(2, 250_001)]
    now = datetime(2026, 1, 2, tzinfo=UTC)
    async with pool.acquire() as connection, connection.transaction(), asyncio.timeout(10):
        await connection.execute(f"SET LOCAL plan_cache_mode = {plan}")
        found = await absences.missing(connection, "field", listed, Coverage(), now)
    assert list(found) == ["1"]


@pytest.mark.parametrize("plan", PLANS)
async def test_many_that_a_list_misses_are_noted_at_once(pool: Pool, plan: str) -> None:
    """So many that were made up by a system, say: not each of them with each of the account's."""
    await fill(pool)
    wanted, at = [str(number) for number in range(1, 30_001)], datetime(2026, 1, 2, tzinfo=UTC)
    async with pool.acquire() as connection, connection.transaction(), asyncio.timeout(10):
        await connection.execute(f"SET LOCAL plan_cache_mode = {plan}")
        await absences.note(connection, "field", set(), wanted, at)
    noted = await pool.fetchval("SELECT count(*) FROM tasks WHERE unlisted_at = $1", at)
    assert noted == 30_000
