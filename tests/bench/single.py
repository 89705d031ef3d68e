"""How soon one event arrives after a silence, in which connections close and caches get cold."""

import asyncio
import statistics
import time
from pathlib import Path

from tests.bench import wire, work
from tests.bench.figures import Figure, received, stats, system, warm
from tests.harness.running import Taskbell

SILENCE, TIMES = 30.0, 10  # seconds
MOST = 6.0  # milliseconds
_ARRIVED = 1.0  # seconds after which it has arrived, so that asking does not disturb it


async def single(folder: Path) -> list[Figure]:
    """Each on a connection of its own, which is open when the time begins."""
    async with system(folder) as (running, receiver):
        await warm(running, receiver)
        before = (await stats(receiver))["count"]
        for number in range(TIMES):
            await asyncio.sleep(SILENCE)
            await _send(running, number)
            await received(receiver, before + number + 1)
        delays = [seconds * 1000 for seconds in (await stats(receiver))["delays"]]
    p50 = statistics.median(delays)
    name = f"p50 of {TIMES} single events, each after {SILENCE:.0f} s of silence"
    return [
        Figure(name, f"{p50:.1f} ms", f"≤ {MOST:.0f} ms", p50 <= MOST),
        Figure("  the slowest of them", f"{max(delays):.1f} ms"),
    ]


async def _send(running: Taskbell, number: int) -> None:
    connection = await wire.connect(running.port)
    await connection.send(work.webhook(4_000_000 + number, f"{time.time():.6f}"))
    connection.close()
    await asyncio.sleep(_ARRIVED)
