"""The arq jobs and settings of a worker process.

arq ignores unknown settings, so they are passed as arguments here, in a single place.
"""

import asyncio
from contextlib import suppress
from typing import Any

import orjson
from arq.connections import ArqRedis
from arq.worker import Worker as ArqWorker
from redis.exceptions import RedisError

from service.doorbell import QUEUE, RedisProblemLog, listening
from service.settings import Settings
from workers.worker import Worker

_BEFORE_LISTENING_AGAIN = 1.0  # seconds


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
            answering = build(worker, settings, redis)
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


def build(worker: Worker, settings: Settings, redis: ArqRedis) -> ArqWorker:
    """The arq worker that runs the jobs for this worker."""
    return ArqWorker(
        functions=[ingest, lookup, deliver],
        queue_name=QUEUE,
        redis_pool=redis,
        ctx={"worker": worker},
        # An idle worker costs what it asks Redis. It is enough that one asks often: the others
        # are there for high load, when every query finds a job.
        poll_delay=0.02 if settings.listens_closely else 0.2,
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
