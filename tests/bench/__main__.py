"""`make bench`: one table. Ratios within one run mean something; absolute figures drift."""

import logging
import sys
import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from service.settings import Settings
from service.telemetry import log
from tests.bench.figures import Figure
from tests.bench.measurements import MEASUREMENTS
from tests.bench.results import Result, machine


def main() -> None:
    """Measure what is named on the command line, or everything that is not long."""
    chosen = _arguments()
    logging.disable(logging.INFO)
    log.configure(Settings(log_level="WARNING"))
    names = chosen.names or [name for name, one in MEASUREMENTS.items() if not one.is_long]
    lines: list[Figure] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                lines += _measured(name, Path(folder) / name, chosen.save)
    finally:
        show(lines)  # also where one fails: what was measured before it took minutes
    sys.exit(any(line.holds is False for line in lines))


def _arguments() -> Namespace:
    parser = ArgumentParser(
        prog="python -m tests.bench",
        description="Measures Taskbell with real processes on this machine, fsync on.",
        epilog=_explained(),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        choices=MEASUREMENTS,
        help="what to measure; all of them if none is named",
    )
    parser.add_argument(
        "--save",
        metavar="FOLDER",
        type=Path,
        help="write each result to FOLDER/NAME.json, for `python -m tests.bench.plots`",
    )
    return parser.parse_args()


def _explained() -> str:
    lines = [
        f"  {name:<14}{one.says} ({one.takes}{', only by name' if one.is_long else ''})"
        for name, one in MEASUREMENTS.items()
    ]
    return "\n".join(["NAME, and about how long it takes on two cores:", *lines])


def _measured(name: str, folder: Path, save: Path | None) -> Sequence[Figure]:
    found = uvloop.run(MEASUREMENTS[name].run(folder))
    if save is not None:
        Result(name, machine(), found).save(save)
    return found


def show(lines: Sequence[Figure]) -> None:
    table = Table("", "measured", "wanted", "", box=None)
    for line in lines:
        mark = {None: "", True: "holds", False: "does NOT hold"}[line.holds]
        table.add_row(line.name, line.value, line.wanted, mark)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
