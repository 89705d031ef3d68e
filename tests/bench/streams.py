"""What open pages cost: many live streams while something changes every second, and while not."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
from redis.asyncio import Redis

from service.doorbell import CHANGES
from tests.bench.figures import Figure, system, warm

STREAMS, SECONDS = 200, 20
MOST = 5.0  # % of a core


async def streams(folder: Path) -> list[Figure]:
    """The CPU time of the web process alone, with what it takes without streams taken off."""
    async with system(folder) as (running, receiver), Redis.from_url(running.valkey.url) as redis:
        await warm(running, receiver)
        web = psutil.Process(running.processes["web"].pid)
        await asyncio.sleep(3)
        alone = await _share(web)
        async with AsyncExitStack() as stack:
            told = [await stack.enter_async_context(_open(running.port)) for _ in range(STREAMS)]
            quiet = await _share(web) - alone
            busy = await _share(web, redis) - alone
            heard = sum(count[0] for count in told) / STREAMS
    return [
        Figure(f"{STREAMS} open pages, nothing happens", f"{quiet:.1f} % of a core"),
        Figure(
            f"{STREAMS} open pages, a change every second ({heard:.0f} told)",
            f"{busy:.1f} % of a core",
            f"< {MOST:g} %",
            busy < MOST and heard >= SECONDS / 2,
        ),
    ]


async def _share(web: psutil.Process, redis: Redis | None = None) -> float:
    """What the process takes in `SECONDS`, in % of a core; with a change every second, if any."""
    before, started = _cpu(web), time.perf_counter()
    for _ in range(SECONDS):
        if redis is not None:
            await redis.incr(CHANGES)
        await asyncio.sleep(1)
    return (_cpu(web) - before) / (time.perf_counter() - started) * 100


def _cpu(web: psutil.Process) -> float:
    taken = web.cpu_times()
    return float(taken.user + taken.system)


@asynccontextmanager
async def _open(port: int) -> AsyncIterator[list[int]]:
    """A page's stream; how often it was told of a change."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    told = [0]
    listening = asyncio.create_task(_listen(reader, told))
    try:
        yield told
    finally:
        listening.cancel()
        writer.close()


async def _listen(reader: asyncio.StreamReader, told: list[int]) -> None:
    async for line in reader:
        told[0] += line.startswith(b"data:")
