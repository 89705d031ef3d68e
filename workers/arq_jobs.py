"""The arq jobs and settings of a worker process.

arq ignores unknown settings, so they are passed as arguments here, in a single place.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, cast

import orjson
from arq.connections import ArqRedis
from arq.worker import Worker as ArqWorker
from redis.exceptions import RedisError

from service.doorbell import MOST_RUNG, QUEUE, RUNG, RedisProblemLog, listening
from service.settings import Settings
from workers.worker import Worker

_BEFORE_LISTENING_AGAIN = 1.0  # seconds
_LONGEST_WAIT = 0.5  # seconds; an entry can be lost with the worker that took it


class Rings:
    """Wakes up the loops of a worker, once for each ring, which comes by the list and as a job."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._heard = deque[str](maxlen=MOST_RUNG)

    def hear(self, entry: bytes) -> None:
        """An entry of the list; those of earlier versions are empty."""
        if entry:
            job, *bell = orjson.loads(entry)
            self.answer(job, *bell)

    def answer(self, job: str, *bell: str) -> None:
        if job not in self._heard:
            self._heard.append(job)
            self._worker.ring(*bell)


class WokenWorker(ArqWorker):
    """An arq worker that is woken up when there is a job, and does not ask many times a second."""

    async def heart_beat(self) -> None:
        """Called after each look into the queue: wait until the next one is worth it."""
        await super().heart_beat()
        answers_within = self.pool.connection_pool.connection_kwargs["socket_timeout"]
        rung = self.pool.blpop([RUNG], timeout=min(_LONGEST_WAIT, answers_within / 2))
        # redis-py types it for its other client as well
        entry = await cast("Awaitable[tuple[bytes, bytes] | None]", rung)
        if entry is not None:
            _rings(self.ctx).hear(entry[1])


async def ingest(ctx: dict[str, Any], account: str) -> None:
    """Receipts of this account have been stored."""
    _rings(ctx).answer(ctx["job_id"], "ingest", account)


async def lookup(ctx: dict[str, Any], account: str) -> None:
    """Tasks of this account are to be read by id."""
    _rings(ctx).answer(ctx["job_id"], "lookup", account)


async def deliver(ctx: dict[str, Any], lane: str) -> None:
    """Deliveries in this lane are due."""
    _rings(ctx).answer(ctx["job_id"], "deliver", lane)


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
        ctx={"rings": Rings(worker)},
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


def _rings(ctx: dict[str, Any]) -> Rings:
    rings: Rings = ctx["rings"]
    return rings
