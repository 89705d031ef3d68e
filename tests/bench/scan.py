"""A full scan of 100 000 unchanged tasks, against `orjson.loads` of the same pages."""

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import psutil
from pydantic import SecretStr

from service import store
from service.channels import built_in
from service.clock import SystemClock
from service.engine import Engine
from service.engine.decider import Decider
from service.http.client import open_client
from service.http.throttle import Unthrottled
from service.processes import gc_tuning
from service.processes.embedded import EmbeddedPostgres
from service.rules.ruleset import Ruleset
from service.sources.plannr import Plannr
from service.sources.plannr.account import PlannrAccount
from service.store import Pool, accounts
from tests.bench.figures import Figure, listening, process
from tests.bench.pages import render
from tests.harness.running import free_port
from workers.poll import LEASE, Poll

TASKS, PER_PAGE, ROUNDS = 100_000, 500, 7
FEW, SCANS, WARM = 10_000, 60, 10
MOST_GROWTH = 3.0  # MB
LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True, slots=True)
class Took:
    """What one complete scan took, its HTTP and its database included, in seconds."""

    wall: float
    cpu: float  # of this process


async def scan(folder: Path) -> list[Figure]:
    """The first scan takes everything up; the others find nothing changed."""
    folder.mkdir()
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        async with await store.connect(postgres.url) as pool:
            await store.migrate(pool)
            async with _polled(pool, "london", TASKS) as poll:
                speed = await _speed(poll)
            async with _polled(pool, "few", FEW) as poll:
                growth = await _growth(poll)
    finally:
        postgres.stop()
    name = f"memory that {SCANS - WARM} scans of {FEW:,} tasks added"
    return [*speed, Figure(name, f"{growth:.1f} MB", f"≤ {MOST_GROWTH} MB", growth <= MOST_GROWTH)]


async def _speed(poll: "Polled") -> list[Figure]:
    first = await poll.scan()
    pages = render(TASKS, PER_PAGE)
    gc_tuning.look_seldom()
    rounds = [(await poll.scan(), _loads(pages)) for _ in range(ROUNDS)]
    wall = statistics.median(took.wall / loads for took, loads in rounds)
    cpu = statistics.median(took.cpu / loads for took, loads in rounds)
    name = f"scan of {TASKS:,} unchanged tasks, as a ratio to orjson.loads"
    return [
        Figure(f"first sync of {TASKS:,} tasks", f"{first.wall:.1f} s"),
        Figure(name, f"{wall:.1f}", "≤ 5", wall <= 5),
        Figure("  CPU time of the worker alone", f"{cpu:.1f}"),
    ]


async def _growth(poll: "Polled") -> float:
    """By how many MB this process grows from scan to scan, once it has its size."""
    for _ in range(WARM):
        await poll.scan()
    before = psutil.Process().memory_info().rss
    for _ in range(SCANS - WARM):
        await poll.scan()
    return float(psutil.Process().memory_info().rss - before) / 1e6


@asynccontextmanager
async def _polled(pool: Pool, name: str, count: int) -> AsyncIterator["Polled"]:
    """A Plannr account that has so many tasks, in a process of its own."""
    port, clock, zones = free_port(), SystemClock(), {name: LONDON}
    account = PlannrAccount(
        name=name,
        system="plannr",
        base_url=f"http://127.0.0.1:{port}",
        token=SecretStr("none"),
        account_uuid=str(UUID(int=1)),
        per_minute=1_000_000,
    )
    await accounts.register(pool, {name: "plannr"}, clock.now())
    engine = Engine(Decider(Ruleset.empty(), zones, built_in()), zones, clock)
    with process("tests.bench.pages", str(port), str(count), str(PER_PAGE)):
        await listening(port)
        async with open_client([ip_network("127.0.0.0/8")]) as client:
            source = Plannr.connect(account, client, clock, Unthrottled())
            yield Polled(pool, name, Poll(pool, engine, source, clock))


@dataclass(frozen=True, slots=True)
class Polled:
    """An account that is read as a whole whenever somebody says so."""

    pool: Pool
    name: str
    poll: Poll

    async def scan(self) -> Took:
        now = SystemClock().now()
        await accounts.poll_now(self.pool, self.name, now)
        await self.pool.execute("UPDATE accounts SET lease_until = NULL")
        [state] = await accounts.claim_due(self.pool, [self.name], now, LEASE)
        wall, cpu = time.perf_counter(), time.process_time()
        async for _ in self.poll.run(state):
            pass
        took = Took(time.perf_counter() - wall, time.process_time() - cpu)
        if error := await self.pool.fetchval("SELECT max(error) FROM accounts"):
            raise RuntimeError(error)
        return took


def _loads(pages: list[bytes]) -> float:
    """Seconds that `orjson.loads` alone takes for the same pages."""
    started = time.perf_counter()
    for page in pages:
        orjson.loads(page)
    return time.perf_counter() - started
