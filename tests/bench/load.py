"""How many events arrive, and how soon, the more of them are offered."""

import time
from pathlib import Path

from tests.bench import wire, work
from tests.bench.figures import CONNECTIONS, Figure, received, stats, system, warm

RATES = (50, 100, 200, 500, 1000, 1500, 2000, 2500)  # events a second
SECONDS = 20


async def load(folder: Path) -> list[Figure]:
    """One rate after the other, each on a Taskbell that was started for it."""
    folder.mkdir()
    return [await _at(rate, folder / str(rate)) for rate in RATES]


async def _at(rate: int, folder: Path) -> Figure:
    """From the first webhook sent to the last notification received; each event arrives once."""
    count = rate * SECONDS
    async with system(folder) as (running, receiver):
        await warm(running, receiver)
        before, started = (await stats(receiver))["count"], time.time()
        statuses = await wire.at_rate(
            running.port,
            lambda number: work.webhook(3_000_000 + number, f"{time.time():.6f}"),
            rate,
            count,
            CONNECTIONS,
        )
        if set(statuses) != {202}:
            raise RuntimeError(f"not everything was accepted: {set(statuses)}")
        delivered = count / (await received(receiver, before + count) - started)
        delays = sorted((await stats(receiver))["delays"])
    return _figure(rate, delivered, delays)


def _figure(rate: int, delivered: float, delays: list[float]) -> Figure:
    p50, p99 = (delays[int(len(delays) * share)] * 1000 for share in (0.5, 0.99))
    return Figure(
        f"{rate:,} events a second offered",
        f"{delivered:,.0f} a second delivered ({min(1, delivered / rate):.0%}),"
        f" p50 {p50:,.1f} ms, p99 {p99:,.1f} ms",
        numbers={"offered": rate, "delivered": delivered, "p50": p50, "p99": p99},
    )
