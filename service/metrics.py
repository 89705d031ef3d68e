"""What is counted, and how the counts of all processes come together.

The web is asked for /metrics, but events and deliveries are counted in the workers, which may
run on other hosts. So every process counts in its own memory and from time to time adds what is
new to one table; whoever is asked shows the table. Totals go on over restarts, nothing is
counted on the corridor's own rows, and no file or port has to be shared. What a process had not
added yet when it was killed is lost: these are counters, the truth is in the tables.
"""

from collections.abc import Iterator, Mapping, Sequence
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

from service.store import DATABASE_ERRORS, Pool

Sample: TypeAlias = tuple[str, str]
"""A sample's name and its labels as a JSON object with sorted keys."""

disable_created_metrics()  # type: ignore[no-untyped-call]
registry = CollectorRegistry()

_SUFFIXES = ("_total", "_count", "_sum")

receipts = Counter(
    "taskbell_receipts",
    "Webhooks by what the door made of them",
    ["account", "outcome"],
    registry=registry,
)
events = Counter("taskbell_events", "Transitions of tasks", ["account", "kind"], registry=registry)
deliveries = Counter(
    "taskbell_deliveries",
    "Deliveries by the state they came to",
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

_published: dict[Sample, float] = {}


async def publish(pool: Pool) -> None:
    """Add to the table what this process has counted since the last time.

    Raises one of DATABASE_ERRORS; what was not added is added the next time.
    """
    fresh = {
        sample: value - _published.get(sample, 0)
        for sample, value in _counted()
        if value != _published.get(sample, 0)
    }
    # Marked before it is done, because another call may begin while this one waits.
    _mark(fresh, 1)
    try:
        await _add(pool, fresh)
    except DATABASE_ERRORS:
        _mark(fresh, -1)
        raise


async def scrape(pool: Pool, now: datetime, faults: int = 0) -> bytes:
    """Everything in Prometheus' text format: the totals of all processes, and how things stand.

    `faults` are those of the configuration's files.
    """
    wrong = GaugeMetricFamily(
        "taskbell_config_faults",
        "Faults for which the configuration's files are not loaded as they are now",
        faults,
    )
    metrics = [*await _totals(pool), *await _gauges(pool, now), wrong]
    return generate_latest(_Scrape(metrics))


class _Scrape(Collector):
    """Metrics that have been collected already."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _counted() -> Iterator[tuple[Sample, float]]:
    for metric in registry.collect():
        for sample in metric.samples:
            labels = orjson.dumps(sample.labels, option=orjson.OPT_SORT_KEYS).decode()
            yield (sample.name, labels), sample.value


def _mark(samples: Mapping[Sample, float], sign: int) -> None:
    for sample, value in samples.items():
        _published[sample] = _published.get(sample, 0) + sign * value


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


async def _totals(pool: Pool) -> list[Metric]:
    rows = await pool.fetch("SELECT name, labels, value FROM counters ORDER BY name, labels")
    metrics = []
    for defined in registry.collect():
        metric = Metric(defined.name, defined.documentation, defined.type)
        for row in rows:
            if row["name"].removeprefix(defined.name) in _SUFFIXES:
                metric.add_sample(row["name"], orjson.loads(row["labels"]), row["value"])
        metrics.append(metric)
    return metrics


async def _gauges(pool: Pool, now: datetime) -> list[Metric]:
    """How long the longest-waiting work has waited, in seconds; 0 where nothing waits."""
    [row] = await pool.fetch(
        """
        SELECT (SELECT min(received_at) FROM accounts, LATERAL (
                    SELECT received_at FROM receipts
                    WHERE account = accounts.name AND state = 'pending'
                    ORDER BY id LIMIT 1) AS oldest) AS received_at,
               -- Of accounts that are still in a configuration: a worker said so as lately as of
               -- any other, be that long ago.
               (SELECT min(next_alarm) FROM accounts, watches, LATERAL (
                    SELECT next_alarm FROM tasks
                    WHERE account = accounts.name AND tasks.watch = watches.id
                    ORDER BY next_alarm LIMIT 1) AS next
                WHERE watched_until >= (SELECT max(watched_until) FROM accounts) - $1::interval)
               AS next_alarm
        """,
        _ROLL_OUT,
    )
    return [
        GaugeMetricFamily(
            "taskbell_oldest_unprocessed_seconds",
            "How long the oldest receipt has been waiting to be dealt with",
            _seconds_since(row["received_at"], now),
        ),
        GaugeMetricFamily(
            "taskbell_clock_lag_seconds",
            "By how much the clock is late in ringing",
            _seconds_since(row["next_alarm"], now),
        ),
    ]


def _seconds_since(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
