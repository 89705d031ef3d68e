"""What a worker process is: its jobs, its crons, its settings for arq, and how it is put together.

arq ignores settings it does not know, so they are given as arguments here, in the one place.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC
from typing import Any

import httpx
import orjson
import structlog
from arq import cron
from arq.worker import Worker

from service import metrics, store
from service.channels import Channel, kinds
from service.channels.customer import CustomerChannel
from service.channels.writes import WritesChannel
from service.clock import Clock
from service.config import Config
from service.deciding import Decider
from service.engine import Engine
from service.http import open_client
from service.jobs import QUEUE, redis_settings
from service.settings import Settings
from service.sources import Source, systems
from service.store import Pool, accounts, decisions
from workers.clock import ClockRound
from workers.deliver import Lane
from workers.ingest import Ingest
from workers.lookup import Lookups
from workers.poll import Poll
from workers.reconcile import reconcile
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
    await _shift(ctx).tick()


async def sweep(ctx: dict[str, Any]) -> None:
    """The net under everything else."""
    await _shift(ctx).sweep()


async def prune(ctx: dict[str, Any]) -> None:
    """Forget what is old."""
    await _shift(ctx).prune()


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


@asynccontextmanager
async def open_shift(settings: Settings, config: Config, clock: Clock) -> AsyncIterator[Shift]:
    """Put a worker's parts together; what they hold open is given back at the end."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await store.connect(settings.database))
        client = await stack.enter_async_context(open_client(config.allow))
        await store.migrate(pool)
        zones = {
            name: account.timezone or config.timezone for name, account in config.accounts.items()
        }
        decider = Decider(config.rules, zones)
        pushed = frozenset(name for name, one in config.accounts.items() if one.webhook)
        engine = Engine(decider, zones, clock, pushed=pushed)
        await _introduce(pool, config, clock)
        await reconcile(pool, decider, zones, clock)
        sources = {
            name: systems()[account.system].connect(account, client, clock)
            for name, account in config.accounts.items()
        }
        channels = _open_channels(config, client, clock)
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        shift = Shift(
            pool=pool,
            clock=clock,
            ingest=Ingest(pool, engine, sources, clock),
            clock_round=ClockRound(pool, engine),
            lookups_of={
                name: Lookups(pool, engine, source, clock) for name, source in sources.items()
            },
            polls={name: Poll(pool, engine, source, clock) for name, source in sources.items()},
            lanes=[
                *(Lane(name, {name: channel}, pool, clock) for name, channel in channels.items()),
                *(_account_lane(name, source, pool, clock) for name, source in sources.items()),
            ],
        )
        shift.start()
        stack.push_async_callback(metrics.publish, pool)
        stack.push_async_callback(shift.stop)
        yield shift


async def _introduce(pool: Pool, config: Config, clock: Clock) -> None:
    """Make the configured accounts and the rules in force known to the database."""
    systems_by_name = {name: account.system for name, account in config.accounts.items()}
    await accounts.register(pool, systems_by_name, clock.now())
    await decisions.keep_rules(pool, config.rules.version, config.rules.text, clock.now())


def _open_channels(config: Config, client: httpx.AsyncClient, clock: Clock) -> dict[str, Channel]:
    return {
        name: kinds()[options.kind](options, client, clock)
        for name, options in config.channels.items()
    }


def _account_lane(name: str, source: Source, pool: Pool, clock: Clock) -> Lane:
    """What an account's own system sends and writes, one lane an account."""
    notify, write = CustomerChannel(source), WritesChannel(source)
    ways: dict[str, Channel] = {
        "customer": notify,
        "employee": notify,
        "create_task": write,
        "update_task": write,
        "complete_task": write,
    }
    return Lane(f"account:{name}", ways, pool, clock)


def _shift(ctx: dict[str, Any]) -> Shift:
    shift: Shift = ctx["shift"]
    return shift
