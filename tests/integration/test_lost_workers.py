"""What a dead process was sending is taken from it; what a living one is sending is not."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.maintenance.prune import Pruner
from service.outbox import attempts
from service.store import Pool
from tests.harness.corridor import Corridor, corridor

RULES = "- { id: book, when: task.created, then: [{ notify: accounting }] }"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        await running.webhook(running.visit())
        yield running


@pytest.fixture
async def net(taskbell: Corridor) -> Pruner:
    """The net of another process, which has been at work for a while."""
    net = Pruner(taskbell.pool, taskbell.clock)
    await seconds(5, taskbell, net)
    return net


async def seconds(count: int, taskbell: Corridor, net: Pruner) -> int | None:
    """Let so many seconds pass; returns after how many of them something was found, if any."""
    for second in range(1, count + 1):
        taskbell.clock.advance(timedelta(seconds=1))
        _, lanes = await net.unanswered(["field"])
        if lanes:
            assert lanes == {"accounting"}
            return second
    return None


async def test_what_a_dead_process_was_sending_is_sent_within_seconds(
    taskbell: Corridor, net: Pruner
) -> None:
    """Killed, it gives no sign of life: another one takes the message over, with the same key."""
    await taskbell.claim("accounting")
    found = await seconds(30, taskbell, net)
    assert found is not None
    assert found <= 9
    await taskbell.deliver()
    assert await taskbell.states() == ["sent"]
    assert len(taskbell.accounting.requests) == 1


async def test_an_outage_of_the_database_makes_nobody_dead(taskbell: Corridor, net: Pruner) -> None:
    """Nobody could renew a lease: whoever can again has the time to, and is not sent for twice."""
    [claim] = await taskbell.claim("accounting")
    taskbell.clock.advance(timedelta(seconds=40))
    assert await seconds(2, taskbell, net) is None
    await attempts.renew(taskbell.pool, [claim.id], taskbell.clock)
    assert await seconds(7, taskbell, net) is None
    assert await taskbell.states() == ["sending"]


async def test_who_died_in_an_outage_is_found_after_it(taskbell: Corridor, net: Pruner) -> None:
    """There is no sign of life when there could be one."""
    await taskbell.claim("accounting")
    taskbell.clock.advance(timedelta(seconds=40))
    found = await seconds(30, taskbell, net)
    assert found is not None
    assert found <= 5


async def test_who_begins_in_an_outage_waits_as_well(taskbell: Corridor) -> None:
    """A process that starts does not know what was before: others may just be coming back."""
    [claim] = await taskbell.claim("accounting")
    taskbell.clock.advance(timedelta(seconds=40))
    net = Pruner(taskbell.pool, taskbell.clock)
    assert await seconds(2, taskbell, net) is None
    await attempts.renew(taskbell.pool, [claim.id], taskbell.clock)
    assert await seconds(5, taskbell, net) is None
