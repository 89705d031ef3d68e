"""A task that is being read by id has a lease: short, renewed, given back where reading fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool, absences, lookups
from service.store.lookups import LEASE, Lookup
from tests.conftest import only_reading
from tests.harness.corridor import Corridor, corridor, firm
from tests.harness.waiting import eventually

RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"
A_MOMENT = timedelta(seconds=1)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A firm in which a visit is done, of which a webhook only hints."""
    async with corridor(folder, pool, clock, RULES, partial(firm, patience="30s")) as running:
        visit = running.visit()
        await running.begin()
        running.sandbox.kickserv.finish(str(visit["id"]))
        await running.webhook({"id": visit["id"]})
        yield running


async def claim(taskbell: Corridor) -> list[Lookup]:
    """What another process gets to read."""
    return await lookups.claim(taskbell.pool, "field", uuid4(), taskbell.clock.now(), 10)


async def is_due(taskbell: Corridor) -> bool:
    return bool(await lookups.accounts_due(taskbell.pool, ["field"], taskbell.clock.now()))


async def test_what_a_dead_process_was_reading_is_read_within_seconds(taskbell: Corridor) -> None:
    """Killed, it gives no sign of life: another one has its task once the lease has run out."""
    assert len(await claim(taskbell)) == 1
    assert not await is_due(taskbell)
    taskbell.clock.advance(LEASE + A_MOMENT)
    assert await is_due(taskbell)
    assert (await taskbell.worker.lookups["field"].batch())[0] == 1
    assert timedelta(seconds=10) >= LEASE + A_MOMENT


async def test_a_call_that_takes_long_keeps_its_lease(
    taskbell: Corridor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as somebody reads it, nobody else does."""
    monkeypatch.setattr("workers.lookup._BETWEEN_RENEWALS", 0.02)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.SLOW, method="GET", seconds=0.6))
    reading = asyncio.create_task(taskbell.worker.lookups["field"].batch())
    await eventually(lambda: leased_until(taskbell.pool))
    for _ in range(3):
        taskbell.clock.advance(LEASE - A_MOMENT)
        until = taskbell.clock.now() + LEASE

        async def is_renewed(until: datetime = until) -> bool:
            return await leased_until(taskbell.pool) == until

        await eventually(is_renewed)
        assert await claim(taskbell) == []
    await reading
    assert await taskbell.events() == ["completed by webhook"]


async def leased_until(pool: Pool) -> datetime | None:
    until: datetime | None = await pool.fetchval("SELECT lease_until FROM lookups")
    return until


async def test_a_hiccup_of_the_database_strands_nothing(
    taskbell: Corridor, database_url: str
) -> None:
    """What was read and could not be written down is given back, and read again at once."""
    reader = taskbell.worker.lookups["field"]
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.SLOW, method="GET", seconds=2))
    reading = asyncio.create_task(reader.batch())
    await eventually(lambda: leased_until(taskbell.pool))
    async with only_reading(database_url):
        with pytest.raises(asyncpg.exceptions.ReadOnlySQLTransactionError):
            await reading
    assert not await is_due(taskbell)
    assert (await reader.batch())[0] == 1
    assert await taskbell.events() == ["completed by webhook"]


async def postponed(pool: Pool, lookup: Lookup, now: datetime) -> None:
    await lookups.postpone(pool, lookup, now + A_MOMENT, "it did not answer")


async def looked_at(pool: Pool, lookup: Lookup, now: datetime) -> None:
    async with pool.acquire() as connection:
        await lookups.read_again(connection, lookup, now + A_MOMENT)


async def held(pool: Pool, lookup: Lookup, now: datetime) -> None:
    await absences.hold(pool, lookup, now, now + A_MOMENT)


async def given_back(pool: Pool, lookup: Lookup, now: datetime) -> None:
    del now
    await lookups.give_back(pool, "field", lookup.lease)


@pytest.mark.parametrize("record", [postponed, looked_at, held, given_back])
async def test_what_is_recorded_twice_leaves_the_next_call_alone(
    record: Callable[[Pool, Lookup, datetime], Awaitable[None]], taskbell: Corridor
) -> None:
    """The connection is lost with the commit, and the answer recorded once more."""
    [first] = await claim(taskbell)
    await record(taskbell.pool, first, taskbell.clock.now())
    taskbell.clock.advance(A_MOMENT)
    [second] = await claim(taskbell)
    before = await taskbell.pool.fetchrow("SELECT * FROM lookups")
    await record(taskbell.pool, first, taskbell.clock.now())
    assert await taskbell.pool.fetchrow("SELECT * FROM lookups") == before
    assert not await is_due(taskbell)
    await record(taskbell.pool, second, taskbell.clock.now())
    taskbell.clock.advance(A_MOMENT)
    assert await is_due(taskbell)
