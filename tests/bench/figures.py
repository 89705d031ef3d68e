"""What the benchmark measures, each on real processes with fsync on."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from service.processes.procfile import procfile, read_procfile
from service.settings import Settings
from tests.bench import wire, work
from tests.harness.running import PATIENCE, Taskbell, free_port, taskbell

CONNECTIONS = 64
ACCEPTED = 6000
EVENTS = 15000
STEADY = 100.0  # events a second
STEADY_SECONDS = 15


@dataclass(frozen=True)
class Figure:
    """One line of the table; `holds` is None where nothing was promised.

    `numbers` are for plots.
    """

    name: str
    value: str
    wanted: str = ""
    holds: bool | None = None
    numbers: Mapping[str, float] | None = None


def grown(name: str, empty: float, full: float) -> Figure:
    """What something takes on an empty database and on a grown one, in milliseconds."""
    numbers = {"empty": empty, "grown": full}
    return Figure(name, f"{empty:.1f} → {full:.1f} ms", numbers=numbers)


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of ours in a process of its own, for as long as it is needed."""
    running = subprocess.Popen([sys.executable, "-m", *arguments])
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def everything() -> tuple[str, ...]:
    """The names of the processes that a user gets who sets nothing."""
    return tuple(one.name for one in read_procfile(procfile(), worker=Settings().workers))


@asynccontextmanager
async def system(folder: Path, *processes: str) -> AsyncIterator[tuple[Taskbell, int]]:
    """A Taskbell whose one rule calls a receiver, and that receiver's port."""
    folder.mkdir()
    port = free_port()
    with process("tests.bench.receiver", str(port)):
        await listening(port)
        configuration = work.configuration(port)
        async with taskbell(folder, configuration, *(processes or everything())) as running:
            yield running, port


async def listening(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                (await wire.connect(port)).close()
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return


async def accept(folder: Path) -> list[Figure]:
    """Durable accepts against a bare 202, in turn, on the same server and under the same load."""
    bare_port = free_port()
    async with system(folder, "web") as (running, _):
        with process("tests.bench.bare", str(bare_port)):
            await listening(bare_port)
            rounds = []
            for number in range(4):
                bare = await _accepts(bare_port, number)
                durable = await _accepts(running.port, number)
                rounds.append((bare, durable))
    ratios = [durable / bare for bare, durable in rounds[1:]]
    ratio = statistics.median(ratios)
    durable = statistics.median(durable for _, durable in rounds[1:])
    return [
        Figure("durable accepts a second, fsync on", f"{durable:,.0f}"),
        Figure("  as a ratio to a bare Starlette 202", f"{ratio:.2f}", "≥ 0.40", ratio >= 0.40),
    ]


async def _accepts(port: int, number: int) -> float:
    first = number * ACCEPTED
    requests = [work.webhook(first + one, f"task {first + one}") for one in range(ACCEPTED)]
    started = time.perf_counter()
    statuses = await wire.flood(port, requests, CONNECTIONS)
    elapsed = time.perf_counter() - started
    if set(statuses) != {202}:
        raise RuntimeError(f"not everything was accepted: {set(statuses)}")
    return ACCEPTED / elapsed


async def throughput(folder: Path) -> list[Figure]:
    """From the first webhook sent to the last notification received, nothing lost or doubled."""
    async with system(folder) as (running, receiver):
        await warm(running, receiver)
        requests = [work.webhook(1_000_000 + one, f"task {one}") for one in range(EVENTS)]
        before = (await stats(receiver))["count"]
        used, started = _cpu(running), time.time()
        await wire.flood(running.port, requests, CONNECTIONS)
        accepted = time.time() - started
        last = await received(receiver, before + EVENTS)
        used = _cpu(running) - used
    rate = EVENTS / (last - started)
    return [
        Figure("events a second, webhook to receiver", f"{rate:,.0f}", "≥ 2,500", rate >= 2500),
        Figure(f"  {EVENTS:,} events accepted within", f"{accepted:.1f} s"),
        *(_cost(name, seconds / EVENTS * 1e6) for name, seconds in used.items()),
    ]


async def events_per_second(folder: Path) -> float:
    """The same rate, and nothing else."""
    async with system(folder) as (running, receiver):
        await warm(running, receiver)
        requests = [work.webhook(1_000_000 + one, f"task {one}") for one in range(EVENTS)]
        before, started = (await stats(receiver))["count"], time.time()
        await wire.flood(running.port, requests, CONNECTIONS)
        return EVENTS / (await received(receiver, before + EVENTS) - started)


def _cost(part: str, microseconds: float) -> Figure:
    value = f"{microseconds:.0f} µs"
    return Figure(f"  CPU of {part} per event", value, numbers={part: microseconds})


async def latency(folder: Path) -> list[Figure]:
    """From a webhook being sent to its notification being received, at a steady rate."""
    async with system(folder) as (running, receiver):
        await warm(running, receiver)
        count = int(STEADY * STEADY_SECONDS)
        before = await stats(receiver)
        await wire.at_rate(
            running.port,
            lambda number: work.webhook(2_000_000 + number, f"{time.time():.6f}"),
            STEADY,
            count,
        )
        await received(receiver, before["count"] + count)
        delays = sorted((await stats(receiver))["delays"])
    p50, p99 = delays[len(delays) // 2] * 1000, delays[int(len(delays) * 0.99)] * 1000
    return [
        Figure(f"p50 at {STEADY:.0f} events a second", f"{p50:.1f} ms", "≤ 20 ms", p50 <= 20),
        Figure(f"p99 at {STEADY:.0f} events a second", f"{p99:.1f} ms", "≤ 60 ms", p99 <= 60),
    ]


async def idle(folder: Path) -> list[Figure]:
    """What all processes together take when nothing happens."""
    async with system(folder) as (running, receiver):
        await warm(running, receiver)
        await asyncio.sleep(3)
        before, started = _cpu(running), time.perf_counter()
        await asyncio.sleep(10)
        used = (_cpu(running) - before).total()
        share = used / (time.perf_counter() - started) * 100
    return [Figure("idle CPU of all processes, of a core", f"{share:.1f} %", "< 5 %", share < 5)]


async def warm(running: Taskbell, receiver: int) -> None:
    """Wait for the silent first sync, then send a few events through."""
    async with asyncio.timeout(PATIENCE):
        while not await running.query("SELECT FROM accounts WHERE baseline_at IS NOT NULL"):
            await asyncio.sleep(0.1)
    before = (await stats(receiver))["count"]
    await wire.flood(running.port, [work.webhook(one, "warm up") for one in range(200)], 8)
    await received(receiver, before + 200)


async def stats(receiver: int) -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{receiver}/stats")).json()


async def received(receiver: int, count: int) -> float:
    """Wait for so many notifications; when the last one came. Fails if one is lost or doubled."""
    async with asyncio.timeout(PATIENCE * 4):
        while (told := await stats(receiver))["count"] < count:
            await asyncio.sleep(0.2)
    if not told["count"] == told["distinct"] == count:
        raise RuntimeError(f"wanted {count} different notifications, got {told}")
    return float(told["last"])


def _programs(running: Taskbell) -> dict[str, list[psutil.Process]]:
    postmaster = psutil.Process(running.postgres.pid)
    return {
        **{name: [psutil.Process(one.pid)] for name, one in running.processes.items()},
        "PostgreSQL": [postmaster, *postmaster.children(recursive=True)],
        "Valkey": [running.valkey_process],
    }


def _cpu(running: Taskbell) -> Counter[str]:
    """CPU seconds so far: of the web, the workers together, PostgreSQL, and Valkey."""
    seconds: Counter[str] = Counter()
    for name, processes in _programs(running).items():
        for one in processes:
            times = one.cpu_times()
            # A program's own children are in its list, or have ended: those are counted here.
            ended = times.children_user + times.children_system if name == "PostgreSQL" else 0
            seconds[name.partition(".")[0]] += times.user + times.system + ended
    return seconds
