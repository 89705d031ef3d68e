"""Whether two accounts notice that a third answers after 30 s and a fourth with 500s."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from tests.bench import wire, work
from tests.bench.figures import Figure, everything, listening, process, received, stats
from tests.harness.running import PATIENCE, Taskbell, free_port, taskbell

WELL, ILL = ("london", "paris"), ("slow", "failing")
ROUNDS, SECONDS, RATE, HINTS = 3, 10, 100.0, 4.0


async def neighbours(folder: Path) -> list[Figure]:
    """In turn with and without the trouble, in one run: the p99 of the others, as a ratio."""
    folder.mkdir()
    port = free_port()
    delays: dict[str, list[float]] = {"well": [], "ill": []}
    with process("tests.bench.receiver", str(port)):
        await listening(port)
        async with taskbell(folder, _configuration(port), *everything()) as running:
            await _begun(running)
            await _round(running, port, 0)
            for number in range(1, 2 * ROUNDS + 1):
                state = ("well", "ill")[number % 2]
                await _ask(port, state)
                delays[state] += await _round(running, port, number)
    well, ill = (_p99(delays[state]) for state in ("well", "ill"))
    return [
        Figure("p99 of two accounts, ms", f"{well * 1000:.1f}"),
        Figure("  with a slow and a failing one beside them", f"{ill * 1000:.1f}"),
        Figure("  as a ratio", f"{ill / well:.2f}", "≤ 1.20", ill / well <= 1.2),
    ]


async def _round(running: Taskbell, receiver: int, number: int) -> list[float]:
    """How long each notification of the two took, while the other two get hints as well."""
    count, first = int(RATE * SECONDS), 10_000_000 * (number + 1)
    before = (await stats(receiver))["count"]

    def change(one: int) -> bytes:
        return work.webhook(first + one, f"{time.time():.6f}", WELL[one % 2])

    def hint(one: int) -> bytes:
        return work.signed({"uuid": f"task-{first + one}"}, ILL[one % 2])

    await asyncio.gather(
        wire.at_rate(running.port, change, RATE, count),
        wire.at_rate(running.port, hint, HINTS, int(HINTS * SECONDS)),
    )
    await received(receiver, before + count)
    told: list[float] = (await stats(receiver))["delays"]
    return told[-count:]


async def _begun(running: Taskbell) -> None:
    """Wait for the first, silent sync of all four."""
    async with asyncio.timeout(PATIENCE):
        while len(await running.query("SELECT FROM accounts WHERE baseline_at IS NOT NULL")) < 4:
            await asyncio.sleep(0.1)


async def _ask(receiver: int, word: str) -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{receiver}/{word}")).json()


def _p99(delays: list[float]) -> float:
    return sorted(delays)[int(len(delays) * 0.99)]


def _configuration(receiver: int) -> str:
    accounts = (
        work.account(name, f"http://127.0.0.1:{receiver}/{name}", poll="1s", full_scan="5s")
        for name in (*WELL, *ILL)
    )
    return work.configuration(receiver, *accounts)
