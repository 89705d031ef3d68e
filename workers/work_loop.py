"""Worker loop for one kind of work: after a wake-up, it runs until no work is left."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from service.store import DATABASE_GONE

log = structlog.get_logger()

_PAUSE_AFTER_FAILURE = 1.0  # seconds


class WorkLoop:
    """Calls `batch` until it reports that no work is left, after each wake-up.

    A wake-up that comes while a batch is running is never lost: it causes one more round. A batch
    that fails is logged and tried again after a pause; its work is still in the database.
    """

    def __init__(self, name: str, batch: Callable[[], Awaitable[bool]]) -> None:
        self.name = name
        self._batch = batch
        self._wake_up = asyncio.Event()
        self._stopping = False

    def ring(self) -> None:
        self._wake_up.set()

    def stop(self) -> None:
        """Stop after the batch that is running; deliveries in progress are still finished."""
        self._stopping = True
        self._wake_up.set()

    async def run(self) -> None:
        while not self._stopping:
            await self._wake_up.wait()
            self._wake_up.clear()
            try:
                await self._empty()
            except DATABASE_GONE as error:
                log.warning("drain.waits_for_the_database", drain=self.name, error=str(error))
                await self._again_later()
            except Exception:  # the edge of the worker: whatever it was, the next round goes on
                log.exception("drain.failed", drain=self.name)
                await self._again_later()

    async def _again_later(self) -> None:
        await asyncio.sleep(_PAUSE_AFTER_FAILURE)
        self._wake_up.set()

    async def _empty(self) -> None:
        while not self._stopping and await self._batch():
            pass
