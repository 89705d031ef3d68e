"""How much memory a worker needs to take up 200 000 tasks at once."""

import asyncio
import time
from pathlib import Path

import psutil

from tests.bench import work
from tests.bench.figures import Figure, listening, process
from tests.harness.running import Taskbell, free_port, taskbell

TASKS, PER_PAGE = 200_000, 500
PATIENCE = 300.0  # seconds
MOST = 200.0  # MB


async def sync(folder: Path) -> list[Figure]:
    """The first sync, by a worker process as `taskbell serve` starts it."""
    folder.mkdir()
    port = free_port()
    configuration = work.configuration(
        port, work.account("london", f"http://127.0.0.1:{port}", poll="1h", full_scan="1h")
    )
    with process("tests.bench.pages", str(port), str(TASKS), str(PER_PAGE)):
        await listening(port)
        async with taskbell(folder, configuration, "web", "worker.1") as running:
            started = time.perf_counter()
            most = await _most_memory(running)
            elapsed = time.perf_counter() - started
    return [
        Figure(f"first sync of {TASKS:,} tasks by a worker", f"{elapsed:.0f} s"),
        Figure(
            "  the most memory that it took", f"{most:.0f} MB", f"≤ {MOST:.0f} MB", most <= MOST
        ),
    ]


async def _most_memory(running: Taskbell) -> float:
    """The largest resident size, in MB, until the account's baseline is complete."""
    worker, most = psutil.Process(running.processes["worker.1"].pid), 0.0
    async with asyncio.timeout(PATIENCE):
        while not await running.query("SELECT FROM accounts WHERE baseline_at IS NOT NULL"):
            most = max(most, worker.memory_info().rss / 1e6)
            await asyncio.sleep(0.1)
    return most
