"""How long a running loop was kept from its other work."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.processes.gc_tuning import look_seldom

LONGEST = 0.05  # seconds that one webhook may keep all others waiting


class Stalls:
    """`longest` is the most time that this process worked, in seconds, between two ticks.

    That of the processor, so that what else the machine does counts for nothing.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        last = time.process_time()
        while True:
            await asyncio.sleep(0)
            now = time.process_time()
            self.longest, last = max(self.longest, now - last), now


@asynccontextmanager
async def watched() -> AsyncIterator[Stalls]:
    """Watch the running loop beside what is done in here, in a process like those at work."""
    stalls, before = Stalls(), gc.get_threshold()
    look_seldom()
    watching = asyncio.create_task(stalls.watch())
    await asyncio.sleep(0)
    try:
        yield stalls
    finally:
        watching.cancel()
        gc.set_threshold(*before)
        gc.unfreeze()
