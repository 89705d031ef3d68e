"""Since when work has waited that nobody does, whatever kind of work it is."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from service.clock import VirtualClock
from service.metrics.oldest_work import oldest_work
from service.store import Pool, accounts, lookups
from tests.harness.corridor import Corridor, corridor

RULES = """
- { id: book, when: task.created, accounts: [field], then: [{ notify: accounting }] }
- { id: quiet, when: task.created, accounts: [london], settle: 5m, then: [{ notify: accounting }] }
- id: all
  when: task.created
  accounts: [sales]
  group: { by: "'all'", wait: 5m }
  then: [{ notify: accounting }]
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def waited(taskbell: Corridor, **time: float) -> float | None:
    """For how many seconds the oldest work has waited, after this time; None if there is none."""
    taskbell.clock.advance(timedelta(**time))
    now = taskbell.clock.now()
    async with taskbell.pool.acquire() as connection:
        since = (await oldest_work(connection, now)).work
    return None if since is None else (now - since).total_seconds()


async def test_a_webhook_and_what_is_read_because_of_it(taskbell: Corridor) -> None:
    """It waits to be read, then its task does; one whose reader was killed goes on waiting."""
    assert await waited(taskbell) is None
    await taskbell.receive({"id": taskbell.visit()["id"]})
    assert await waited(taskbell, seconds=20) == 20
    await taskbell.ingest()
    assert await waited(taskbell, seconds=7) == 7
    for _ in range(3):
        now = taskbell.clock.now()
        assert len(await lookups.claim(taskbell.pool, "field", uuid4(), now, 1)) == 1
        taskbell.clock.advance(timedelta(seconds=10))
    assert await waited(taskbell) == 37
    await accounts.pause(taskbell.pool, "field")
    assert await waited(taskbell) is None


async def test_what_is_tried_again_later_does_not_wait_by_then(taskbell: Corridor) -> None:
    """A system that is down makes its account fail; it does not make Taskbell late."""
    await taskbell.webhook({"id": taskbell.visit()["id"]})
    [lookup] = await lookups.claim(taskbell.pool, "field", uuid4(), taskbell.clock.now(), 1)
    until = taskbell.clock.now() + timedelta(minutes=10)
    await lookups.postpone(taskbell.pool, lookup, until, "it is down")
    assert await waited(taskbell, minutes=9) is None
    assert await waited(taskbell, minutes=2) == 60


async def test_a_message_that_is_due(taskbell: Corridor) -> None:
    """It waits from then on; what was claimed waits from when its process gave no sign of life."""
    await taskbell.webhook(taskbell.visit())
    assert await waited(taskbell, seconds=30) == 30
    await taskbell.claim("accounting")
    assert await waited(taskbell, seconds=5) is None
    assert await waited(taskbell, seconds=5) == 2


async def test_a_message_that_waits_for_a_person(taskbell: Corridor) -> None:
    """Nobody is late who may not send it yet."""
    await taskbell.webhook(taskbell.visit())
    await taskbell.pool.execute("UPDATE deliveries SET approver = 'slack:@ann'")
    assert await waited(taskbell, seconds=30) is None


@pytest.mark.parametrize("account", ["london", "sales"])
async def test_a_rule_that_has_waited(account: str, taskbell: Corridor) -> None:
    """Once it is over that a task changes, or that a digest gathers, the clock has to come."""
    system = taskbell.sandbox.plannr if account == "london" else taskbell.sandbox.rolodex
    await taskbell.webhook(system.make(), account)
    await taskbell.look_up(account)
    assert await waited(taskbell, minutes=4) is None
    assert await waited(taskbell, minutes=2) == 60
    await taskbell.tick()
    assert await waited(taskbell) == 0
