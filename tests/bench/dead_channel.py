"""Whether other channels notice 50,000 messages that wait for one whose server never answers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench import wire, work
from tests.bench.figures import (
    Figure,
    everything,
    listening,
    process,
    received,
    stats,
    warm,
)
from tests.harness.running import Taskbell, free_port, taskbell

ROUNDS, SECONDS, RATE, WAITING = 2, 20, 100.0, 50_000


async def dead_channel(folder: Path) -> list[Figure]:
    """In turn without and with the waiting messages, in one run: the p99 of the others, as a ratio.

    The first seconds with them are in it, in which messages are tried until the breaker opens.
    """
    folder.mkdir()
    port = free_port()
    delays: dict[bool, list[float]] = {False: [], True: []}
    async with _never_answering() as dead:
        with process("tests.bench.receiver", str(port)):
            await listening(port)
            configuration = _configuration(port, dead)
            async with taskbell(folder, configuration, *everything()) as running:
                await warm(running, port)
                await _round(running, port, 0)
                for number in range(1, 2 * ROUNDS + 1):
                    is_dead = number % 2 == 0
                    await (_fill if is_dead else _empty)(running)
                    delays[is_dead] += await _round(running, port, number)
    alone, beside = (sorted(delays[one]) for one in (False, True))
    well, ill = alone[int(len(alone) * 0.99)], beside[int(len(beside) * 0.99)]
    return [
        Figure("p99 of a channel, ms", f"{well * 1000:.1f}"),
        Figure(f"  beside {WAITING:,} messages for a dead one", f"{ill * 1000:.1f}"),
        Figure("  as a ratio", f"{ill / well:.2f}", "≤ 1.20", ill / well <= 1.2),
    ]


@asynccontextmanager
async def _never_answering() -> AsyncIterator[int]:
    """The port of a server that takes connections and says nothing."""
    ended = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    ended.set()
    server.close()


async def _fill(running: Taskbell) -> None:
    await running.query(
        f"""
        INSERT INTO deliveries (account, task, rule, once_key, step, channel, target, lane,
            at_most_once, text, state, created_at, next_attempt_at)
        SELECT 'london', number::text, 'bench', gen_random_uuid()::text, 1, 'dead', '', 'dead',
            false, 'waits', 'planned', now(), now()
        FROM generate_series(1, {WAITING}) AS number
        """
    )
    await running.query("ANALYZE deliveries")  # as PostgreSQL does by itself within a minute


async def _empty(running: Taskbell) -> None:
    await running.query("DELETE FROM deliveries WHERE lane = 'dead' AND state = 'planned'")
    await running.query("DELETE FROM lane_outages")


async def _round(running: Taskbell, receiver: int, number: int) -> list[float]:
    """How long each notification took, at a steady rate."""
    count, first = int(RATE * SECONDS), 10_000_000 * (number + 1)
    before = (await stats(receiver))["count"]
    await wire.at_rate(
        running.port,
        lambda one: work.webhook(first + one, f"{time.time():.6f}"),
        RATE,
        count,
    )
    await received(receiver, before + count)
    told: list[float] = (await stats(receiver))["delays"]
    return told[-count:]


def _configuration(receiver: int, dead: int) -> str:
    line = f'channels:\n  dead: {{ kind: webhook, url: "http://127.0.0.1:{dead}/" }}\n'
    return work.configuration(receiver).replace("channels:\n", line)
