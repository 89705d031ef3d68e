"""A full scan of 100 000 unchanged tasks, against `orjson.loads` of the same pages."""

import statistics
import time
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
from service.deciding import Decider
from service.embedded import EmbeddedPostgres
from service.engine import Engine
from service.http import open_client
from service.http.throttle import Unthrottled
from service.rules import Ruleset
from service.sources.plannr import Plannr, PlannrAccount
from service.store import Pool, accounts
from tests.bench.figures import Figure, listening, process
from tests.bench.pages import render
from tests.running import free_port
from workers.poll import LEASE, Poll

TASKS, PER_PAGE, ROUNDS = 100_000, 500, 5
LONDON = ZoneInfo("Europe/London")


async def scan(folder: Path) -> list[Figure]:
    """The first scan takes everything up; the others find nothing changed."""
    folder.mkdir()
    port = free_port()
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        with process("tests.bench.pages", str(port), str(TASKS), str(PER_PAGE)):
            await listening(port)
            async with await store.connect(postgres.url) as pool:
                return await _measure(pool, port)
    finally:
        postgres.stop()


async def _measure(pool: Pool, port: int) -> list[Figure]:
    account = PlannrAccount(
        name="london",
        system="plannr",
        base_url=f"http://127.0.0.1:{port}",
        token=SecretStr("none"),
        account_uuid=str(UUID(int=1)),
        per_minute=1_000_000,
    )
    clock = SystemClock()
    await store.migrate(pool)
    await accounts.register(pool, {"london": "plannr"}, clock.now())
    engine = Engine(
        Decider(Ruleset.empty(), {"london": LONDON}, built_in()), {"london": LONDON}, clock
    )
    async with open_client([ip_network("127.0.0.0/8")]) as client:
        poll = Poll(pool, engine, Plannr.connect(account, client, clock, Unthrottled()), clock)
        first = await _timed(pool, poll)
        pages = render(TASKS, PER_PAGE)
        memory = psutil.Process().memory_info().rss
        ratios = [await _timed(pool, poll) / _loads(pages) for _ in range(ROUNDS)]
        growth = (psutil.Process().memory_info().rss - memory) / 1e6
    ratio = statistics.median(ratios)
    return [
        Figure(f"first sync of {TASKS:,} tasks", f"{first:.1f} s"),
        Figure(
            f"scan of {TASKS:,} unchanged tasks, as a ratio to orjson.loads",
            f"{ratio:.1f}",
            "≤ 6",
            ratio <= 6,
        ),
        Figure(f"  memory that {ROUNDS} scans added", f"{growth:.0f} MB"),
    ]


async def _timed(pool: Pool, poll: Poll) -> float:
    """Seconds that one complete scan takes, its HTTP and its database included."""
    now = SystemClock().now()
    await accounts.poll_now(pool, "london", now)
    await pool.execute("UPDATE accounts SET lease_until = NULL")
    [state] = await accounts.claim_due(pool, ["london"], now, LEASE)
    started = time.perf_counter()
    async for _ in poll.run(state):
        pass
    elapsed = time.perf_counter() - started
    if error := await pool.fetchval("SELECT error FROM accounts"):
        raise RuntimeError(error)
    return elapsed


def _loads(pages: list[bytes]) -> float:
    """Seconds that `orjson.loads` alone takes for the same pages."""
    started = time.perf_counter()
    for page in pages:
        orjson.loads(page)
    return time.perf_counter() - started
