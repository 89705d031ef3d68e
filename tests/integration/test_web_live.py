"""Open pages are told at once that something has changed, and at little cost."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import StreamingResponse

from service.clock import VirtualClock
from service.doorbell import CHANGES, Doorbell
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from service.web.live_updates import LiveUpdates
from service.web.problems import Problem
from tests.harness.running import free_port
from tests.harness.site import Site, configured, serving

TOKEN = "s3cret-of-the-page"
CHANGED, ALIVE = "data: changed", ": alive"
SOON = 3.0  # seconds


@pytest.fixture
async def web(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with serving(configured(tmp_path), pool, clock, valkey.url, TOKEN) as running:
        running.client.headers["authorization"] = f"Bearer {TOKEN}"
        yield running


async def _next(lines: AsyncIterator[str]) -> str:
    """The next line that is not empty."""
    while not (line := await anext(lines)):
        pass
    return line


async def test_a_page_is_told_of_what_a_worker_does(web: Site, valkey: EmbeddedValkey) -> None:
    """Each change within seconds, and nothing else."""
    async with web.client.stream("GET", "/live") as answer, Redis.from_url(valkey.url) as redis:
        lines = answer.aiter_lines()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert await _next(lines) == ALIVE
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(waiting := _begun(lines)), 1.5)
            await redis.incr(CHANGES)
            assert await asyncio.wait_for(waiting, SOON) == CHANGED


def _begun(lines: AsyncIterator[str]) -> asyncio.Task[str]:
    return asyncio.create_task(_next(lines))


async def test_a_page_is_told_of_what_a_person_does(web: Site) -> None:
    """For example, that someone switched a rule to trial."""
    async with web.client.stream("GET", "/live") as answer:
        lines = answer.aiter_lines()
        assert await _next(lines) == ALIVE
        await asyncio.sleep(0.5)
        done = await web.client.post("/api/v1/rules/job-done/trial", json={})
        assert done.status_code == httpx.codes.OK, done.text
        assert await asyncio.wait_for(_next(lines), SOON) == CHANGED


async def test_a_stranger_hears_nothing(web: Site) -> None:
    """As everywhere: without the token or a session it is a 401."""
    answer = await web.client.get("/live", headers={"authorization": ""})
    assert answer.status_code == httpx.codes.UNAUTHORIZED


async def test_without_redis_pages_read_themselves_again_now_and_then(
    tmp_path: Path, pool: Pool, clock: VirtualClock
) -> None:
    """Nobody can say whether anything has changed."""
    away = f"redis://127.0.0.1:{free_port()}"
    async with (
        serving(configured(tmp_path), pool, clock, away) as web,
        web.client.stream("GET", "/live", timeout=10) as answer,
    ):
        lines = answer.aiter_lines()
        assert [await _next(lines), await _next(lines)] == [ALIVE, CHANGED]


async def test_a_server_that_stops_does_not_wait_for_open_pages(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """The stream ends, so that the process does."""
    loop = asyncio.get_running_loop()
    async with serving(configured(tmp_path), pool, clock, valkey.url) as web:
        answer = await web.client.send(web.client.build_request("GET", "/live"), stream=True)
        lines = answer.aiter_lines()
        assert await _next(lines) == ALIVE
        began = loop.time()
    assert loop.time() - began < SOON


async def test_open_pages_are_limited(valkey: EmbeddedValkey) -> None:
    """One too many is told so, and its page goes on without; a page that is closed makes room."""
    request, bell = Request({"type": "http"}), Doorbell(valkey.url)
    live = LiveUpdates(bell, most=1)
    first = await live.stream(request)
    assert isinstance(first, StreamingResponse)
    assert isinstance(first.body_iterator, AsyncGenerator)
    await anext(first.body_iterator)
    with pytest.raises(Problem, match="Too many pages are open"):
        await live.stream(request)
    await first.body_iterator.aclose()
    assert await live.stream(request)
    await live.close()
    await bell.close()
