"""The doorbell: whoever waits for work hears of it at once, and asks for little meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import orjson
import pytest
from redis.asyncio import Redis

from service.doorbell import DELIVER, INGEST, RUNG, Doorbell
from service.doorbell import listening as connected
from service.processes.embedded import EmbeddedValkey
from service.settings import read_settings
from service.settings.redis_pool import connections
from tests.harness.waiting import eventually
from workers import arq_jobs
from workers.handover import end
from workers.worker import Worker


class Rung:
    """What a worker is told, and nothing else of it."""

    def __init__(self) -> None:
        self.bells: list[tuple[str, ...]] = []

    def ring(self, *bell: str) -> None:
        self.bells.append(bell)


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """A Valkey whose commands can be counted."""
    with EmbeddedValkey(folder / "own") as server:
        yield server.url


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Rung]:
    """A worker that waits for jobs."""
    rung = Rung()
    settings = read_settings({"REDIS_URL": url})
    task = asyncio.create_task(arq_jobs.listen(cast("Worker", rung), settings))
    try:
        yield rung
    finally:
        await end([task])


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Redis]:
    redis = Redis(connection_pool=connections(url))
    try:
        yield redis
    finally:
        await redis.aclose(close_connection_pool=True)


async def test_a_worker_is_woken_by_a_job(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker would not poll the queue for an hour, but the job wakes it."""
    monkeypatch.setattr(arq_jobs, "_BETWEEN_LOOKS", 3600.0)
    bell = Doorbell(f"{url}?socket_timeout=7200")
    async with listening(f"{url}?socket_timeout=7200") as rung:
        for number in range(1, 4):
            bell.ring(INGEST, "field")
            await eventually(partial(_has_heard, rung, number))
    await bell.close()


async def test_a_worker_need_not_wait_for_the_job(url: str) -> None:
    """The job is not queued yet: what is to be done stands in the entry."""
    async with listening(url) as rung, asking(url) as redis:
        entry = orjson.dumps([INGEST, "field"])
        await cast("Awaitable[int]", redis.lpush(RUNG, entry))
        await eventually(lambda: rung.bells == [(INGEST, "field")])


async def test_jobs_do_not_pile_up(url: str) -> None:
    """Of each kind one waits at most, however often it is rung for; nobody has taken it yet."""
    bell = Doorbell(url)
    async with asking(url) as redis:
        for number in range(1, 6):
            bell.ring(INGEST, "field")
            bell.ring(DELIVER, "slack")
            await eventually(partial(_has_entries, redis, 2 * number))
        await eventually(lambda: _has_jobs(redis, 2))
        async with listening(url) as rung:
            await eventually(lambda: _has_jobs(redis, 0))
            assert set(rung.bells) == {(INGEST, "field"), (DELIVER, "slack")}
            bell.ring(INGEST, "field")
            await eventually(lambda: rung.bells[-1] == (INGEST, "field"))
    await bell.close()


async def test_an_entry_of_an_earlier_version_is_a_wake_up(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is empty: a worker looks into the queue at once, as that version did."""
    monkeypatch.setattr(arq_jobs, "_BETWEEN_LOOKS", 3600.0)
    queue = connected(url)
    async with listening(f"{url}?socket_timeout=7200") as rung, asking(url) as redis:
        await eventually(lambda: _is_listening(redis))
        await queue.enqueue_job(DELIVER, "slack")
        assert rung.bells == []
        await cast("Awaitable[int]", redis.lpush(RUNG, b""))
        await eventually(lambda: rung.bells == [(DELIVER, "slack")])
    await queue.aclose(close_connection_pool=True)


async def test_a_job_whose_entry_was_lost_is_heard_all_the_same(url: str) -> None:
    """As when the worker that took the entry dies before it has looked into the queue."""
    bell = Doorbell(url)
    async with asking(url) as redis:
        bell.ring(DELIVER, "slack")
        await eventually(lambda: _has_entries(redis, 1))
        await redis.delete(RUNG)
        async with listening(url) as rung:
            await eventually(lambda: rung.bells == [(DELIVER, "slack")])
    await bell.close()


async def test_an_address_with_a_short_time_out_is_waited_on_as_well(url: str) -> None:
    """The wait is shorter than the time that the server has to answer: nothing fails meanwhile."""
    bell = Doorbell(url)
    async with listening(f"{url}?socket_timeout=0.2") as rung, asking(url) as redis:
        await eventually(lambda: _calls(redis, "blpop", 5))
        bell.ring(INGEST, "field")
        await eventually(lambda: rung.bells == [(INGEST, "field")])
        assert (await redis.info("stats"))["total_connections_received"] < 6
    await bell.close()


async def test_an_idle_worker_asks_for_little(url: str) -> None:
    """A few commands a second, where asking every 20 ms took fifty."""
    async with listening(url), asking(url) as redis:
        await eventually(lambda: _calls(redis, "blpop", 2))
        before = (await redis.info("stats"))["total_commands_processed"]
        await asyncio.sleep(2)
        after = (await redis.info("stats"))["total_commands_processed"]
    assert after - before < 40


async def test_entries_that_nobody_takes_are_few(url: str) -> None:
    """Without a worker each new job adds one, up to a hundred."""
    async with asking(url) as redis:
        for _ in range(150):
            await cast("Awaitable[int]", redis.lpush(RUNG, b""))
        bell = Doorbell(url)
        bell.ring(INGEST, "field")
        await eventually(lambda: _has_entries(redis, 100))
        await bell.close()


def _has_heard(rung: Rung, times: int) -> bool:
    return len(rung.bells) == times


async def _calls(redis: Redis, command: str, least: int) -> bool:
    stats = await redis.info("commandstats")
    return bool(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"] >= least)


async def _is_listening(redis: Redis) -> bool:
    return bool((await redis.info("clients"))["blocked_clients"] == 1)


async def _has_jobs(redis: Redis, number: int) -> bool:
    """Whether so many jobs wait or run."""
    return len(await redis.keys("arq:job:*")) == number


async def _has_entries(redis: Redis, number: int) -> bool:
    return await cast("Awaitable[int]", redis.llen(RUNG)) == number
