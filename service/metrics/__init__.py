"""Metrics, and how the counts of all processes are added up.

The web process serves /metrics, but events and deliveries are counted in the workers, which may run
on other hosts. So every process counts in its own memory and from time to time adds the increase to
one table; /metrics shows the table, and what the web process has not added yet. Totals continue
over restarts, counting does not lock the engine's rows, and no file or port has to be shared.
Counts that a killed process had not added yet are lost. This is acceptable: the tables of the
engine, not these counters, are the source of truth.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import orjson
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Summary,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.domain.model import Kind, State
from service.metrics.oldest_work import oldest_work
from service.store import DATABASE_ERRORS, Connection, Pool

Sample: TypeAlias = tuple[str, str]
"""A sample's name and its labels as a JSON object with sorted keys."""

disable_created_metrics()  # type: ignore[no-untyped-call]
registry = CollectorRegistry()

_SUFFIXES = ("_total", "_count", "_sum")

receipts = Counter(
    "taskbell_receipts",
    "Webhooks by outcome",
    ["account", "outcome"],
    registry=registry,
)
events = Counter("taskbell_events", "Transitions of tasks", ["account", "kind"], registry=registry)
deliveries = Counter(
    "taskbell_deliveries",
    "Deliveries by state",
    ["channel", "state"],
    registry=registry,
)
poll_seconds = Summary(
    "taskbell_poll_seconds", "How long a poll of an account took", ["account"], registry=registry
)
poll_errors = Counter("taskbell_poll_errors", "Polls that failed", ["account"], registry=registry)
missed_by_webhook = Counter(
    "taskbell_missed_by_webhook",
    "Transitions that a poll found although the account sends webhooks",
    ["account"],
    registry=registry,
)

_ROLL_OUT = timedelta(hours=1)

# How long a scrape waits for the database; Prometheus itself gives up after ten seconds.
_PATIENCE = 3.0

# What the database was handed, and what it has confirmed.
_handed: dict[Sample, float] = {}
_stored: dict[Sample, float] = {}


def expect(accounts: Iterable[str], channels: Iterable[str]) -> None:
    """Show these metrics as 0 from the start: queries do not see an increase from nothing."""
    for account in accounts:
        for kind in Kind:
            events.labels(account, kind)
        for metric in (poll_seconds, poll_errors, missed_by_webhook):
            metric.labels(account)
    for channel in channels:
        for state in State:
            deliveries.labels(channel, state)


async def publish(pool: Pool) -> None:
    """Add to the table what this process has counted since the last time.

    Raises one of DATABASE_ERRORS; counts that were not added are added the next time.
    """
    fresh = {
        sample: value - _handed.get(sample, 0)
        for sample, value in _counted()
        if value != _handed.get(sample, 0)
    }
    # Marked before it is done, because another call may begin while this one waits.
    _mark(_handed, fresh)
    is_stored = False
    try:
        await _add(pool, fresh)
        is_stored = True
    finally:
        if not is_stored:
            _mark(_handed, {sample: -count for sample, count in fresh.items()})
    _mark(_stored, fresh)


class MetricsExporter:
    """The metrics of a process, served in time even if the database is unavailable.

    The totals are then those that were read last, with what this process has counted since. Before
    the first read there are none: a total that begins too low would look like a restart. `patience`
    is in seconds.
    """

    def __init__(self, pool: Pool, patience: float = _PATIENCE) -> None:
        self._pool = pool
        self._patience = patience
        # What is counted in the table and not by this process.
        self._others: dict[Sample, float] | None = None
        self._looking: asyncio.Task[list[Metric]] | None = None

    async def text(self, now: datetime, faults: int = 0) -> bytes:
        """All metrics in Prometheus' text format; `faults` are errors in the configuration.

        A database query that takes too long continues, and is waited for the next time.
        """
        wrong = GaugeMetricFamily(
            "taskbell_config_faults",
            "Errors because of which the configuration's files are not loaded as they are now",
            faults,
        )
        gauges = await self.look(now)
        return generate_latest(_Scrape([*_of_samples(self._shown()), *gauges, wrong]))

    async def look(self, now: datetime) -> list[Metric]:
        """The gauges, if the database provides them in time; the totals are kept."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(now))
        looking = self._looking
        done, _ = await asyncio.wait({looking}, timeout=self._patience)
        return looking.result() if done else [_database_up(is_up=False)]

    async def close(self) -> None:
        """Cancel a query that is running, so that the pool can be closed."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking}, timeout=self._patience)

    async def _look(self, now: datetime) -> list[Metric]:
        is_up = True
        try:
            await publish(self._pool)
        except DATABASE_ERRORS:
            is_up = False
        try:
            async with self._pool.acquire() as connection:
                totals = await _totals(connection)
                gauges = [*await _gauges(connection, now), *await _troubles(connection, now)]
        except DATABASE_ERRORS:
            return [_database_up(is_up=False)]
        self._others = {
            sample: totals.get(sample, 0) - _stored.get(sample, 0)
            for sample in totals.keys() | _stored.keys()
        }
        return [*gauges, _database_up(is_up=is_up)]

    def _shown(self) -> Mapping[Sample, float]:
        if self._others is None:
            return {}
        own = dict(_counted())
        return {
            sample: self._others.get(sample, 0) + own.get(sample, 0)
            for sample in self._others.keys() | own.keys()
        }


class _Scrape(Collector):
    """Metrics that were collected already."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _counted() -> Iterator[tuple[Sample, float]]:
    for metric in registry.collect():
        for sample in metric.samples:
            labels = orjson.dumps(sample.labels, option=orjson.OPT_SORT_KEYS).decode()
            yield (sample.name, labels), sample.value


def _mark(marked: dict[Sample, float], samples: Mapping[Sample, float]) -> None:
    for sample, value in samples.items():
        marked[sample] = marked.get(sample, 0) + value


async def _add(pool: Pool, fresh: Mapping[Sample, float]) -> None:
    samples = sorted(fresh)
    await pool.execute(
        """
        INSERT INTO counters (name, labels, value)
        SELECT * FROM unnest($1::text[], $2::text[], $3::float8[])
        ON CONFLICT (name, labels) DO UPDATE SET value = counters.value + excluded.value
        """,
        [name for name, _ in samples],
        [labels for _, labels in samples],
        [fresh[sample] for sample in samples],
    )


async def _totals(connection: Connection) -> dict[Sample, float]:
    rows = await connection.fetch("SELECT name, labels, value FROM counters")
    return {(row["name"], row["labels"]): row["value"] for row in rows}


def _of_samples(samples: Mapping[Sample, float]) -> Iterator[Metric]:
    for defined in registry.collect():
        metric = Metric(defined.name, defined.documentation, defined.type)
        for (name, labels), value in sorted(samples.items()):
            if name.removeprefix(defined.name) in _SUFFIXES:
                metric.add_sample(name, orjson.loads(labels), value)
        yield metric


def _database_up(*, is_up: bool) -> Metric:
    return GaugeMetricFamily(
        "taskbell_database_up", "Whether PostgreSQL reads and writes, and in time", int(is_up)
    )


async def _gauges(connection: Connection, now: datetime) -> list[Metric]:
    """How long the longest-waiting work has waited, in seconds; 0 if none waits."""
    waiting = await oldest_work(connection, now)
    return [
        GaugeMetricFamily(
            "taskbell_oldest_unprocessed_seconds",
            "How long the oldest webhook, task to be read or message that is due has been waiting",
            _seconds_since(waiting.work, now),
        ),
        GaugeMetricFamily(
            "taskbell_clock_lag_seconds",
            "By how much time-based events are late",
            _seconds_since(waiting.alarm, now),
        ),
    ]


async def _troubles(connection: Connection, now: datetime) -> list[Metric]:
    """Problems that need attention, from the tables: they outlive the process that found them."""
    failing = GaugeMetricFamily(
        "taskbell_account_failing_seconds",
        "For how long an account could not be read; 0 where it can",
        labels=["account"],
    )
    for row in await connection.fetch(
        """
        SELECT name, CASE WHEN NOT paused THEN failing_since END AS failing_since FROM accounts
        WHERE watched_until >= (SELECT max(watched_until) FROM accounts) - $1::interval
        """,
        _ROLL_OUT,
    ):
        failing.add_metric([row["name"]], _seconds_since(row["failing_since"], now))
    unsettled = GaugeMetricFamily(
        "taskbell_unsettled_deliveries",
        "Deliveries that failed or whose outcome is unknown, until a person has decided about them",
        labels=["channel", "state"],
    )
    for row in await connection.fetch(
        """
        SELECT channel, state, count(*) FROM deliveries
        WHERE state IN ('failed', 'unknown') AND acknowledged_at IS NULL GROUP BY channel, state
        """
    ):
        unsettled.add_metric([row["channel"], row["state"]], row["count"])
    return [failing, unsettled]


def _seconds_since(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
