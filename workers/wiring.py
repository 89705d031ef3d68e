"""Builds the parts of a worker process from a configuration."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import httpx
import structlog

from service import metrics, store
from service.change_plan.new_rules import passed_over
from service.channels import Channel, ChannelOptions, built_in, kinds, ways
from service.clock import Clock
from service.config import Config
from service.domain.operators.overrides import Override
from service.domain.system_actions import WRITES
from service.engine import Engine
from service.engine.decider import Decider
from service.http.client import open_client
from service.http.connection_check import ConnectionCheck, check_connection
from service.http.throttle import Budget, Throttle
from service.maintenance import clock_repair, clock_sync
from service.outbox import account_lane, removal, writes_lane
from service.outbox.alerts import OperatorAddress
from service.outbox.approvals import DeliveryLinks
from service.outbox.direct_claims import DirectClaims
from service.settings import Settings
from service.sources import Source, systems
from service.store import Pool, accounts, decisions, receipt_queue
from service.store.operators import rule_overrides
from service.store.rate_limits import AccountThrottle, PriorityThrottle
from workers.alerts import Alerts
from workers.clock_tick import ClockRound
from workers.final_check import FinalCheck
from workers.heartbeat import Heartbeat
from workers.ingest import Ingest
from workers.lookup import Lookups
from workers.poll import Poll
from workers.sender import Lane, LaneSender
from workers.worker import Worker, process_name

log = structlog.get_logger()

_ROLL_OUT = timedelta(hours=1)
_CALLS_AT_ONCE = 4  # of one worker to an account's own system, in each of its lanes


@asynccontextmanager
async def open_worker(settings: Settings, config: Config, clock: Clock) -> AsyncIterator[Worker]:
    """The running parts of a worker; their resources are closed at the end."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await store.connect(settings.database))
        await clock_sync.correct(pool, clock)
        client = await stack.enter_async_context(open_client(config.allow))
        links = DeliveryLinks(settings.taskbell_url or "", settings.taskbell_admin_token)
        presence = Heartbeat(pool, clock, config.accounts)
        async with store.explained(pool):
            parts = await assemble(config, client, pool, clock, links)
            await presence.note()
        for channel in parts.channels.values():
            stack.push_async_callback(channel.close)
        alerts = Alerts(pool, clock, parts.sources, operator_address(config, settings.taskbell_url))
        worker = _worker(settings, config, pool, clock, parts, alerts, presence)
        worker.start()
        stack.push_async_callback(metrics.publish, pool)
        stack.push_async_callback(worker.stop)
        yield worker


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """The parts for one configuration: engine, systems of the accounts, channels, and lanes.

    `overrides` are those that its rules follow.
    """

    engine: Engine
    sources: Mapping[str, Source]
    channels: Mapping[str, Channel]
    lanes: Sequence[LaneSender]
    overrides: Mapping[str, Override]


async def assemble(
    config: Config, client: httpx.AsyncClient, pool: Pool, clock: Clock, links: DeliveryLinks
) -> WorkerParts:
    """Build the parts, and update the database for this configuration and today's overrides."""
    await store.migrate(pool)
    overrides = await rule_overrides.read(pool)
    config = config.switched(overrides)
    channels = _channels(config, client, clock)
    sources = _sources(config, client, pool, clock)
    first = _first_sources(config, client, pool, clock)
    engine = await open_engine(pool, config, clock)
    lanes = _lanes(config, channels, sources, first, pool, clock, links, engine)
    await cancel_orphans(pool, sources, lanes, clock)
    return WorkerParts(engine, sources, channels, lanes, overrides)


async def open_engine(pool: Pool, config: Config, clock: Clock) -> Engine:
    """The engine; registers the accounts, the rules and the alarms in the database."""
    zones = config.zones
    off = await rule_overrides.off_periods(pool)
    decider = Decider(config.rules, zones, ways(config.kinds), off)
    names = {name: account.system for name, account in config.accounts.items()}
    await accounts.register(pool, names, clock.now())
    await accounts.keep_zones(pool, zones)
    await clock_repair.correct(pool, clock.now())
    await _keep_rules(pool, config, clock.now())
    pushed = frozenset(
        name for name, account in config.accounts.items() if account.has_signed_webhooks
    )
    engine = Engine(decider, zones, clock, pushed=pushed, people=config.people)
    await engine.activate(pool)
    return engine


async def _keep_rules(pool: Pool, config: Config, now: datetime) -> None:
    """Store the rules, and log how many tasks the newly added rules ignore."""
    rules, before = config.rules, await decisions.rules_in_force(pool)
    await decisions.keep_rules(pool, rules.version, rules.text, now)
    if before is None or before[0] == rules.version:
        return
    for rule, count in (await passed_over(pool, config, before[1], now)).items():
        log.info("rule.passes_over", rule=rule, tasks=count, why="they matched before it was there")


async def cancel_orphans(
    pool: Pool, sources: Mapping[str, Source], lanes: Sequence[LaneSender], clock: Clock
) -> None:
    """Cancel deliveries and reject webhooks of lanes and accounts that no process has any more.

    Webhooks are not rejected at once: while a new configuration is rolled out, another process may
    read them.
    """
    now = clock.now()
    await removal.announce_lanes(pool, process_name(), [lane.name for lane in lanes], now)
    await removal.cancel_orphans(pool, now)
    await receipt_queue.set_aside_orphans(pool, sources, now, now - _ROLL_OUT)


def direct_claims(config: Config, lanes: Iterable[LaneSender]) -> DirectClaims:
    """The claims of one transaction, for those of these lanes that can send at once."""
    room = {lane.name: lane.direct_room for lane in lanes}
    return DirectClaims(room, config.rules, config.zones)


def _worker(
    settings: Settings,
    config: Config,
    pool: Pool,
    clock: Clock,
    parts: WorkerParts,
    alerts: Alerts,
    presence: Heartbeat,
) -> Worker:
    engine, sources = parts.engine, parts.sources
    direct = partial(direct_claims, config, parts.lanes)
    return Worker(
        settings=settings,
        pool=pool,
        clock=clock,
        ingests={name: Ingest(pool, engine, one, clock, direct) for name, one in sources.items()},
        clock_round=ClockRound(pool, engine),
        lookups_of={name: Lookups(pool, engine, one, clock) for name, one in sources.items()},
        polls={name: Poll(pool, engine, one, clock) for name, one in sources.items()},
        lanes=parts.lanes,
        alerts=alerts,
        presence=presence,
        overrides=parts.overrides,
    )


def operator_address(config: Config, page: str | None = None) -> OperatorAddress | None:
    if (operator := config.operator) is None:
        return None
    way = ways(config.kinds)[operator.channel]
    return OperatorAddress(
        operator.channel, operator.target, way.at_most_once, config.timezone, page or ""
    )


def _sources(
    config: Config, client: httpx.AsyncClient, pool: Pool, clock: Clock
) -> dict[str, Source]:
    """The accounts' systems, as used for polls, lookups and writes."""

    def throttle(name: str, budget: Budget) -> Throttle:
        return AccountThrottle(pool, name, clock, budget.others)

    return _connected(config, client, clock, throttle)


def _first_sources(
    config: Config, client: httpx.AsyncClient, pool: Pool, clock: Clock
) -> dict[str, Source]:
    """The same systems, as used for customer messages: with the reserved calls."""

    def throttle(name: str, budget: Budget) -> Throttle:
        return PriorityThrottle(pool, name, clock, budget)

    return _connected(config, client, clock, throttle)


def _connected(
    config: Config,
    client: httpx.AsyncClient,
    clock: Clock,
    throttle: Callable[[str, Budget], Throttle],
) -> dict[str, Source]:
    return {
        name: systems()[account.system].connect(
            account,
            client,
            clock,
            throttle(name, Budget.of(account.per_minute)),
            config.people.digest,
        )
        for name, account in config.accounts.items()
    }


def _channels(config: Config, client: httpx.AsyncClient, clock: Clock) -> dict[str, Channel]:
    return {
        name: kinds()[options.kind](options, client, clock)
        for name, options in config.channels.items()
    }


def _lanes(
    config: Config,
    channels: Mapping[str, Channel],
    sources: Mapping[str, Source],
    first: Mapping[str, Source],
    pool: Pool,
    clock: Clock,
    links: DeliveryLinks,
    engine: Engine,
) -> list[LaneSender]:
    """One lane per channel, and two per account: for its system's messages, and for writes to it.

    Messages use the `first` sources, so that reads and writes do not delay them. The final checks
    of customer messages in any lane use them, too.
    """
    rules, zones = config.rules, config.zones
    final_checks = {
        name: FinalCheck(pool, engine, source, clock, rules, zones[name])
        for name, source in first.items()
    }
    check = partial(check_connection, config.allow)
    lanes = [_channel_lane(config.channels[name], one, check) for name, one in channels.items()]
    for name in sources:
        told = {action: way(first[name]) for action, way in built_in().items()}
        written = {action: built_in()[action](sources[name]) for action in WRITES}
        lanes.append(Lane(account_lane(name), told, _CALLS_AT_ONCE))
        lanes.append(Lane(writes_lane(name), written, _CALLS_AT_ONCE))
    return [LaneSender(lane, pool, clock, rules, zones, links, final_checks) for lane in lanes]


def _channel_lane(options: ChannelOptions, channel: Channel, check: ConnectionCheck) -> Lane:
    return Lane(
        options.name,
        {options.name: channel},
        options.concurrency,
        options.pace,
        partial(channel.probe, check),
    )
