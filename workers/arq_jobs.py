"""The arq jobs and settings of a worker process.

arq ignores unknown settings, so they are passed as arguments here, in a single place.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, cast

import orjson
from arq.connections import ArqRedis
from arq.worker import Worker as ArqWorker
from redis.exceptions import RedisError

from service.doorbell import QUEUE, RUNG, RedisProblemLog, listening
from service.settings import Settings
from workers.worker import Worker

_BEFORE_LISTENING_AGAIN = 1.0  # seconds
_BETWEEN_LOOKS = 0.5  # seconds; an entry can be lost with the worker that took it


class WokenWorker(ArqWorker):
    """An arq worker that listens to the list, and looks into arq's queue twice a second."""

    async def heart_beat(self) -> None:
        """Called after each look into the queue: listen until the next one."""
        await super().heart_beat()
        loop = asyncio.get_running_loop()
        until = loop.time() + _BETWEEN_LOOKS
        while (left := until - loop.time()) > 0 and await self._hear(left):
            pass

    async def _hear(self, within: float) -> bool:
        """Wait for an entry and wake up a loop; whether to go on, and not to look into the queue.

        Entries of an earlier version are empty: what is to be done stands in the queue alone.
        """
        answers_within = self.pool.connection_pool.connection_kwargs["socket_timeout"]
        rung = self.pool.blpop([RUNG], timeout=min(within, answers_within / 2))
        # redis-py types it for its other client as well
        entry = await cast("Awaitable[tuple[bytes, bytes] | None]", rung)
        if entry is None:
            return True
        _, said = entry
        if said:
            _worker(self.ctx).ring(*orjson.loads(said))
        return bool(said)


async def ingest(ctx: dict[str, Any], account: str) -> None:
    """Receipts of this account have been stored."""
    _worker(ctx).ring("ingest", account)


async def lookup(ctx: dict[str, Any], account: str) -> None:
    """Tasks of this account are to be read by id."""
    _worker(ctx).ring("lookup", account)


async def deliver(ctx: dict[str, Any], lane: str) -> None:
    """Deliveries in this lane are due."""
    _worker(ctx).ring("deliver", lane)


async def listen(worker: Worker, settings: Settings) -> None:
    """Run the arq jobs forever, and wait while Redis is unavailable; ends by being cancelled."""
    redis, away = listening(settings.redis), RedisProblemLog("doorbell.away")
    try:
        while True:
            answering = build(worker, redis)
            try:
                await answering.async_run()
            except (RedisError, OSError) as error:
                away.make(error)
            finally:
                # What it says to Redis on leaving, and jobs that are broken off, do not matter.
                with suppress(RedisError, OSError, asyncio.CancelledError):
                    await answering.close()
            await asyncio.sleep(_BEFORE_LISTENING_AGAIN)
    finally:
        await redis.aclose(close_connection_pool=True)


def build(worker: Worker, redis: ArqRedis) -> ArqWorker:
    """The arq worker that runs the jobs for this worker."""
    return WokenWorker(
        functions=[ingest, lookup, deliver],
        queue_name=QUEUE,
        redis_pool=redis,
        ctx={"worker": worker},
        poll_delay=0,
        max_jobs=50,
        queue_read_limit=1000,
        job_timeout=30,
        keep_result=0,
        max_tries=1,
        # A worker that ends removes the shared health-check key; the others write it again.
        health_check_interval=2,
        job_serializer=orjson.dumps,
        job_deserializer=orjson.loads,
        handle_signals=False,
        log_results=False,
    )


def _worker(ctx: dict[str, Any]) -> Worker:
    worker: Worker = ctx["worker"]
    return worker
