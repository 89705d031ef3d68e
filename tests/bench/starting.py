"""How long it takes to start: a command that asks the database, and all of Taskbell on its data."""

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.bench.figures import Figure
from tests.harness.commands import clean_environment
from tests.harness.running import free_port
from tests.harness.serving import serving
from tests.harness.waiting import eventually

COMMAND = ("outbox", "list")
TIMES = 5
PATIENCE = 60.0
COMMAND_WANTED, SERVE_WANTED = 0.5, 2.0  # seconds
# No account, so that nothing else is done meanwhile.
CONFIGURATION = "version: 1\n"


async def starting(folder: Path) -> list[Figure]:
    """The median of a few starts each; the first makes the database and is not counted."""
    folder.mkdir()
    (folder / "taskbell.yaml").write_text(CONFIGURATION)
    started = [await _start(folder) for _ in range(1 + TIMES)]
    ready = statistics.median(seconds for seconds, _ in started[1:])
    asked = statistics.median(seconds for _, seconds in started[1:])
    return [
        _figure(f"`taskbell {' '.join(COMMAND)}`, a command that asks", asked, COMMAND_WANTED),
        _figure("`taskbell serve` until ready, on existing data", ready, SERVE_WANTED),
    ]


async def _start(folder: Path) -> tuple[float, float]:
    """The seconds until Taskbell is ready, and those of a command while it runs."""
    port, began = free_port(), time.perf_counter()
    with serving(folder, port):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await eventually(lambda: _is_ready(client), PATIENCE)
        ready = time.perf_counter() - began
        return ready, await asyncio.to_thread(_ask, folder)


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).is_success
    except httpx.TransportError:
        return False


def _ask(folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "service", *COMMAND],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def _figure(name: str, seconds: float, wanted: float) -> Figure:
    return Figure(name, f"{seconds:.2f} s", f"≤ {wanted:g} s", seconds <= wanted)
