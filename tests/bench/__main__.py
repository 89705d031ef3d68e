"""`make bench`: one table. Ratios within one run mean something; absolute figures drift."""

import logging
import sys
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from service.settings import Settings
from service.telemetry import log
from tests.bench import (
    clock,
    compared,
    dead_channel,
    figures,
    growth,
    history,
    hosts,
    neighbours,
    rules,
    scan,
    starting,
    streams,
    sync,
)
from tests.bench.figures import Figure

MEASUREMENTS = {
    "accept": figures.accept,
    "throughput": figures.throughput,
    "latency": figures.latency,
    "neighbours": neighbours.neighbours,
    "dead-channel": dead_channel.dead_channel,
    "scan": scan.scan,
    "sync": sync.sync,
    "rules": rules.rules,
    "backtest": history.backtesting,
    "clock": clock.clock,
    "idle": figures.idle,
    "starting": starting.starting,
    "streams": streams.streams,
    "growth": growth.growth,
    "hosts": hosts.hosts,
    "compared": compared.compared,
}
# Measured only by their names: most of an hour.
LONG = {"growth-full": growth.growth_full}


def main() -> None:
    """Measure what is named on the command line, or everything."""
    logging.disable(logging.INFO)
    log.configure(Settings(log_level="WARNING"))
    chosen = sys.argv[1:] or list(MEASUREMENTS)
    lines: list[Figure] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in chosen:
                lines += uvloop.run({**MEASUREMENTS, **LONG}[name](Path(folder) / name))
    finally:
        show(lines)  # also where one fails: what was measured before it took minutes
    sys.exit(any(line.holds is False for line in lines))


def show(lines: list[Figure]) -> None:
    table = Table("", "measured", "wanted", "", box=None)
    for line in lines:
        mark = {None: "", True: "holds", False: "does NOT hold"}[line.holds]
        table.add_row(line.name, line.value, line.wanted, mark)
    Console(width=100).print(table)


main()
