"""What the steps of an event take in PostgreSQL: in the engine, and in the outbox."""

import statistics
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from service import store
from service.clock import SystemClock
from service.config import Config
from service.domain.model import Cause, Observation, Task
from service.engine import Engine
from service.engine.postgres import PostgresTransaction
from service.outbox import claiming
from service.store import Pool
from tests.bench.figures import Figure, grown
from workers import wiring

ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Steps:
    """Milliseconds, each the median: an event and its commit; a claim of what came of an event."""

    event: float
    claim: float

    @classmethod
    async def measured(cls, url: str, config: Config) -> Self:
        """Tasks of `london` that are first seen done, one at a time; then their messages."""
        clock = SystemClock()
        # Connections of its own, which have the settings of now.
        async with await store.connect(url) as pool:
            engine = await wiring.open_engine(pool, config, clock)
            await pool.execute("UPDATE accounts SET baseline_at = added_at")
            events = [await _event(pool, engine, _task(n, clock.now())) for n in range(ROUNDS)]
            claims = [await _claim(pool, config) for _ in range(ROUNDS)]
            await pool.execute(
                "UPDATE deliveries SET state = 'sent', settled_at = now() WHERE state = 'sending'"
            )
        return cls(statistics.median(events), statistics.median(claims))

    def figures(self, full: "Steps") -> list[Figure]:
        """These on an empty database, `full` on a grown one."""
        return [
            grown("an event in the engine, with its commit", self.event, full.event),
            grown("a claim of the messages of an event", self.claim, full.claim),
        ]


def _task(number: int, now: datetime) -> Task:
    name = f"{now.timestamp():.0f}-{number}"  # another one in each run
    return Task(name, "london", "plannr", f"Roof {number}", done=True, updated_at=now)


async def _event(pool: Pool, engine: Engine, task: Task) -> float:
    seen = Observation(task.account, task.id, task, SystemClock().now(), Cause.WEBHOOK, pushed=True)
    started = time.perf_counter()
    async with pool.acquire() as connection, connection.transaction():
        after = await engine.observe(PostgresTransaction(connection), [seen])
    engine.after_commit(after)
    return (time.perf_counter() - started) * 1000


async def _claim(pool: Pool, config: Config) -> float:
    limit, zones = len(config.rules.ids), config.zones
    started = time.perf_counter()
    claims = await claiming.claim(
        pool, "slack", SystemClock(), limit, config.rules, zones, durable=False
    )
    if len(claims) != limit:
        raise RuntimeError(f"wanted {limit} messages, claimed {len(claims)}")
    return (time.perf_counter() - started) * 1000
