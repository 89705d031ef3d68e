"""Replaces the worker when the configuration changes, or a person switches a rule."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import structlog

from service.clock import Clock
from service.config import Config
from service.doorbell import Doorbell
from service.settings import Settings
from service.store import DATABASE_GONE
from workers.arq_jobs import listen
from workers.wiring import open_worker
from workers.worker import Worker

_BEFORE_CANCELLING_AGAIN = 1.0  # seconds


class Handover:
    """The current worker, and replaced ones that still finish their deliveries in progress.

    They work concurrently, as two worker processes do: locks and leases in the database separate
    them. So the work is never interrupted.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._on_duty = AsyncExitStack()
        self._leaving: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    async def relieve(self, config: Config) -> None:
        """Start a worker with this configuration, and stop the previous one.

        If it cannot start, for instance without a database, the previous one stays.
        """
        async with self._one_at_a_time:
            fresh = AsyncExitStack()
            await fresh.enter_async_context(self._at_work(config))
            before, self._on_duty = self._on_duty, fresh
            task = asyncio.create_task(_leave(before))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Stop all workers; returns when the results of their deliveries in progress are stored."""
        async with self._one_at_a_time:
            await self._on_duty.aclose()
        await asyncio.gather(*self._leaving)

    @asynccontextmanager
    async def _at_work(self, config: Config) -> AsyncIterator[None]:
        """A running worker with its periodic tasks and its doorbell.

        It has itself replaced, with the same configuration, when a person switches a rule.
        """
        async with open_worker(self._settings, config, self._clock) as worker:
            busy = [
                asyncio.create_task(go_round(worker, partial(self.relieve, config))),
                asyncio.create_task(listen(worker, self._settings)),
                asyncio.create_task(tell_pages(worker, self._settings)),
            ]
            try:
                yield
            finally:
                await end(busy)


async def _leave(duty: AsyncExitStack) -> None:
    with suppress(*DATABASE_GONE):  # what is left then is taken up by the sweep
        await duty.aclose()


async def end(busy: Iterable[asyncio.Task[None]]) -> None:
    """Cancel these until they have ended.

    Cancelling once may not be enough: before Python 3.12 `asyncio.wait_for`, as redis-py calls it,
    loses a cancellation that comes at the same moment as its result.
    """
    left = set(busy)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_BEFORE_CANCELLING_AGAIN)


log = structlog.get_logger()


async def go_round(worker: Worker, renew: Callable[[], Awaitable[None]]) -> None:
    """Run periodically; ends by being cancelled. `renew` replaces a worker that is outdated."""

    async def follow_overrides() -> None:
        if await worker.is_outdated():
            await renew()

    async with asyncio.TaskGroup() as rounds:
        rounds.create_task(_every(1, worker.tick))
        rounds.create_task(_every(1, worker.sweep))
        rounds.create_task(_every(1, follow_overrides))
        rounds.create_task(_every(5, worker.publish))
        rounds.create_task(_every(5, worker.tell_operator))
        rounds.create_task(_every(15, worker.renew))
        rounds.create_task(_every(60, worker.prune))


async def tell_pages(worker: Worker, settings: Settings) -> None:
    """Tell open pages, once a second at most, that this worker has done something.

    Ends by being cancelled.
    """
    bell = Doorbell(settings.redis)
    try:
        while True:
            if worker.take_news():
                bell.note_change()
            await asyncio.sleep(1)
    finally:
        await bell.close()


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except DATABASE_GONE as error:
            log.warning("worker.waits_for_the_database", error=str(error))
        except Exception:  # the edge of the worker: whatever it was, the next round goes on
            log.exception("round.failed", round=work.__name__)
        await asyncio.sleep(seconds)
