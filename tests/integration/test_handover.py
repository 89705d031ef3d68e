"""One worker relieves the other in a process: no work is broken off, lost or done twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.config import Config
from service.doorbell import Doorbell
from service.processes.embedded import EmbeddedValkey
from service.settings import read_settings
from service.store import Pool
from tests.harness.corridor import Corridor, configured, corridor
from tests.harness.receivers import Answer
from tests.harness.running import free_port
from tests.harness.waiting import eventually
from workers.handover import Handover, end

OLD = "- { id: old, when: task.created, then: [{ notify: accounting }] }"
NEW = OLD.replace("id: old", "id: new")


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """What a worker works on; its own worker stands still."""
    async with corridor(folder, pool, clock, OLD) as running:
        await running.begin()
        yield running


@pytest.fixture
async def handover(
    taskbell: Corridor, clock: VirtualClock, database_url: str
) -> AsyncIterator[Handover]:
    """With a worker on duty that has the old rules; nobody rings, so it goes round by itself."""
    environ = {"DATABASE_URL": database_url, "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    handover = Handover(read_settings(environ), clock)
    await handover.hand_over(taskbell.config)
    yield handover
    await handover.close()


def renewed(taskbell: Corridor) -> Config:
    return configured(taskbell.folder, NEW, taskbell.head)


async def rules(taskbell: Corridor) -> list[str]:
    """By which rules was decided, in order."""
    rows = await taskbell.pool.fetch("SELECT rule FROM decisions ORDER BY id")
    return [row["rule"] for row in rows]


async def test_who_is_relieved_decides_nothing_any_more(
    taskbell: Corridor, handover: Handover
) -> None:
    """After the change every decision is by the new rules alone."""
    await taskbell.receive(taskbell.visit())
    await eventually(taskbell.is_everything_sent)
    await handover.hand_over(renewed(taskbell))
    await eventually(lambda: not handover._stopping)
    for count in (2, 3):
        await taskbell.receive(taskbell.visit())
        await eventually(partial(is_told, taskbell, count))
    assert await rules(taskbell) == ["old", "new", "new"]


async def test_what_a_worker_does_is_told_to_open_pages(
    taskbell: Corridor, clock: VirtualClock, database_url: str, valkey: EmbeddedValkey
) -> None:
    """Each time something is done; and nothing is told while nothing is done."""
    environ = {"DATABASE_URL": database_url, "REDIS_URL": valkey.url}
    handover, bell = Handover(read_settings(environ), clock), Doorbell(valkey.url)
    await handover.hand_over(taskbell.config)
    await asyncio.sleep(1.5)
    try:
        for _ in range(2):
            before = await bell.changes()
            await asyncio.sleep(1.5)
            assert await bell.changes() == before
            await taskbell.receive(taskbell.visit())
            await eventually(partial(is_changed, bell, before))
            await asyncio.sleep(1.5)
    finally:
        await handover.close()
        await bell.close()


async def is_changed(bell: Doorbell, before: int | None) -> bool:
    return await bell.changes() != before


def is_told(taskbell: Corridor, times: int) -> bool:
    return len(taskbell.accounting.requests) == times


async def test_who_is_relieved_finishes_what_is_in_hand(
    taskbell: Corridor, handover: Handover
) -> None:
    """The new worker works beside it at once; the slow message goes once, and so does the next."""
    taskbell.accounting.reply(Answer(after=(answered := asyncio.Event())))
    await taskbell.receive(taskbell.visit())
    await eventually(taskbell.is_accounting_told)
    await handover.hand_over(renewed(taskbell))
    await taskbell.receive(taskbell.visit())
    await eventually(partial(is_told, taskbell, 2))
    answered.set()
    await eventually(taskbell.is_everything_sent)
    assert [one["attempts"] for one in await taskbell.deliveries()] == [1, 1]
    assert len(taskbell.accounting.requests) == 2


async def test_the_end_waits_for_who_was_replaced(taskbell: Corridor, handover: Handover) -> None:
    """A worker that is stopped right after a change settles what the old worker had in hand."""
    taskbell.accounting.reply(Answer(after=(answered := asyncio.Event())))
    await taskbell.receive(taskbell.visit())
    await eventually(taskbell.is_accounting_told)
    await handover.hand_over(renewed(taskbell))
    asyncio.get_running_loop().call_later(0.3, answered.set)
    await handover.close()
    [delivery] = await taskbell.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("sent", 1)


async def test_nobody_goes_before_the_next_has_begun(
    taskbell: Corridor, handover: Handover
) -> None:
    """The new worker takes its time to begin: meanwhile the old one does its work."""
    async with taskbell.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE rulesets IN SHARE MODE")
        relieving = asyncio.create_task(handover.hand_over(renewed(taskbell)))
        await eventually(partial(is_held_up, taskbell.pool))
        await taskbell.receive(taskbell.visit())
        await eventually(taskbell.is_everything_sent)
        assert not relieving.done()
    await relieving
    assert await rules(taskbell) == ["old"]


async def is_held_up(pool: Pool) -> bool:
    """Whether somebody waits for a lock on the rules."""
    return bool(
        await pool.fetchval(
            "SELECT count(*) FROM pg_locks WHERE relation = 'rulesets'::regclass AND NOT granted"
        )
    )


async def test_who_did_not_hear_that_it_is_to_end_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cancellation can be lost on its way through a library: a stop would wait for ever."""
    monkeypatch.setattr("workers.handover._BEFORE_CANCELLING_AGAIN", 0.02)

    async def deaf_once() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end([task])
    assert task.cancelled()
