"""All measurements by their names: what each measures, and how long it takes on two cores."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tests.bench import (
    clock,
    compared,
    dead_channel,
    figures,
    growth,
    history,
    hosts,
    load,
    memory,
    neighbours,
    rules,
    scan,
    single,
    starting,
    streams,
    sync,
)
from tests.bench.figures import Figure

Run: TypeAlias = Callable[[Path], Coroutine[Any, Any, list[Figure]]]


@dataclass(frozen=True, slots=True)
class Measurement:
    """`is_long` ones run only if they are named."""

    run: Run
    says: str
    takes: str
    is_long: bool = False


MEASUREMENTS = {
    "accept": Measurement(
        figures.accept, "webhooks stored on disk, against a server that only answers 202", "1 min"
    ),
    "throughput": Measurement(
        figures.throughput, "events a second, webhook to receiver, and their CPU", "1 min"
    ),
    "load": Measurement(
        load.load, "from 50 to 2,500 events a second offered: how many arrive, and when", "5 min"
    ),
    "latency": Measurement(figures.latency, "webhook to receiver, at 100 events a second", "1 min"),
    "single": Measurement(
        single.single, "webhook to receiver, one event after half a minute of silence", "6 min"
    ),
    "neighbours": Measurement(
        neighbours.neighbours, "two accounts beside a slow one and a failing one", "2 min"
    ),
    "dead-channel": Measurement(
        dead_channel.dead_channel, "a channel beside one whose server never answers", "3 min"
    ),
    "scan": Measurement(scan.scan, "full reads of 100,000 unchanged tasks", "3 min"),
    "sync": Measurement(sync.sync, "time and memory for a first sync of 200,000 tasks", "2 min"),
    "rules": Measurement(rules.rules, "10 rules alone, and among 10,000", "2 min"),
    "backtest": Measurement(history.backtesting, "50 rules on a month of 100,000 events", "3 min"),
    "clock": Measurement(
        clock.clock, "timer ticks without tasks and with a million; 10,000 alarms at once", "5 min"
    ),
    "idle": Measurement(figures.idle, "CPU of all processes when nothing happens", "1 min"),
    "memory": Measurement(memory.memory, "memory of all processes after 15,000 events", "1 min"),
    "starting": Measurement(starting.starting, "`taskbell serve`, and a command", "1 min"),
    "streams": Measurement(streams.streams, "200 open pages in browsers", "2 min"),
    "growth": Measurement(
        growth.growth, "steps, lists and screens, nearly empty and with 250,000 messages", "5 min"
    ),
    "growth-full": Measurement(
        growth.growth_full, "the same with 5,000,000 messages", "10 min", is_long=True
    ),
    "hosts": Measurement(hosts.hosts, "what a second host adds; as root only", "2 min"),
    "compared": Measurement(
        compared.compared, "the same job in Alertmanager and in Node-RED, as ratios", "3 min"
    ),
}
