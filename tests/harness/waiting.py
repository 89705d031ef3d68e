"""Waiting for a condition, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE = 30.0
"""Seconds that a busy machine may take for anything that a test does not time."""


async def eventually(holds: Callable[[], object], within: float = PATIENCE) -> None:
    """Wait until it holds, for so many seconds at most; what it returns may be awaitable."""
    async with asyncio.timeout(within):
        while not await _answer(holds):
            await asyncio.sleep(0.02)


async def _answer(holds: Callable[[], object]) -> object:
    answer = holds()
    return await answer if isinstance(answer, Awaitable) else answer
