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
        self._current = AsyncExitStack()
        self._stopping: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    async def hand_over(self, config: Config) -> None:
        """Start a worker with this configuration, and stop the previous one.

        If it cannot start, for instance without a database, the previous one stays.
        """
        async with self._one_at_a_time:
            following = AsyncExitStack()
            await following.enter_async_context(self._running(config))
            previous, self._current = self._current, following
            task = asyncio.create_task(_stop(previous))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def close(self) -> None:
        """Stop all workers; returns when the results of their deliveries in progress are stored."""
        async with self._one_at_a_time:
            await self._current.aclose()
        await asyncio.gather(*self._stopping)

    @asynccontextmanager
    async def _running(self, config: Config) -> AsyncIterator[None]:
        """A running worker with its periodic tasks and its doorbell.

        When a person switches a rule, it is replaced by a worker with the same configuration.
        """
        async with open_worker(self._settings, config, self._clock) as worker:
            busy = [
                asyncio.create_task(go_round(worker, partial(self.hand_over, config))),
                asyncio.create_task(listen(worker, self._settings)),
                asyncio.create_task(notify_pages(worker, self._settings)),
            ]
            try:
                yield
            finally:
                await end(busy)


async def _stop(worker_stack: AsyncExitStack) -> None:
    with suppress(*DATABASE_GONE):  # what is left then is taken up by the sweep
        await worker_stack.aclose()


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
        rounds.create_task(_every(5, worker.send_alerts))
        rounds.create_task(_every(15, worker.renew))
        rounds.create_task(_every(60, worker.prune))


async def notify_pages(worker: Worker, settings: Settings) -> None:
    """Tell open pages, once a second at most, that this worker has done something.

    Ends by being cancelled.
    """
    bell = Doorbell(settings.redis)
    try:
        while True:
            if worker.was_active():
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
