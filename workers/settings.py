"""What a worker process is to arq: its jobs, its crons and its settings.

arq ignores settings it does not know, so they are given as arguments here, in the one place.
"""

from collections.abc import Awaitable
from datetime import UTC
from typing import Any

import orjson
import structlog
from arq import cron
from arq.worker import Worker

from service.jobs import QUEUE, redis_settings
from service.store import DATABASE_GONE
from workers.shift import Shift

log = structlog.get_logger()

_EVERY_SECOND = set(range(60))
_EVERY_FEW_SECONDS = set(range(0, 60, 3))


async def ingest(ctx: dict[str, Any]) -> None:
    """Receipts have come in."""
    _shift(ctx).ring("ingest")


async def lookup(ctx: dict[str, Any], account: str) -> None:
    """Tasks of this account are to be read by id."""
    _shift(ctx).ring("lookup", account)


async def deliver(ctx: dict[str, Any], lane: str) -> None:
    """Something is to be sent on this lane."""
    _shift(ctx).ring("deliver", lane)


async def tick(ctx: dict[str, Any]) -> None:
    """Each second: the clock, polls, and whatever was waiting for its time."""
    await _if_there(_shift(ctx).tick())


async def sweep(ctx: dict[str, Any]) -> None:
    """The net under everything else."""
    await _if_there(_shift(ctx).sweep())


async def prune(ctx: dict[str, Any]) -> None:
    """Forget what is old."""
    await _if_there(_shift(ctx).prune())


def build(shift: Shift, redis_url: str) -> Worker:
    """The arq worker that answers the doorbell for this shift."""
    return Worker(
        functions=[ingest, lookup, deliver],
        cron_jobs=[
            cron(tick, second=_EVERY_SECOND, max_tries=1),
            cron(sweep, second=_EVERY_FEW_SECONDS, max_tries=1, run_at_startup=True),
            cron(prune, second=30, max_tries=1),
        ],
        queue_name=QUEUE,
        redis_settings=redis_settings(redis_url),
        ctx={"shift": shift},
        poll_delay=0.01,
        max_jobs=50,
        queue_read_limit=1000,
        job_timeout=30,
        keep_result=0,
        max_tries=1,
        health_check_interval=10,
        job_serializer=orjson.dumps,
        job_deserializer=orjson.loads,
        timezone=UTC,
        log_results=False,
    )


async def _if_there(work: Awaitable[None]) -> None:
    """Do what comes round again anyway, unless the database is away."""
    try:
        await work
    except DATABASE_GONE as error:
        log.warning("worker.waits_for_the_database", error=str(error))


def _shift(ctx: dict[str, Any]) -> Shift:
    shift: Shift = ctx["shift"]
    return shift
