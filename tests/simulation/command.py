"""Runs histories, and says which laws they break.

`python -m tests.simulation 17` shows the history of a seed, `0-999` runs that many and says how
many there are a minute. A history that breaks a law is shown as short as it can be made.
"""

import argparse
import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from service.processes.embedded import EmbeddedPostgres
from tests.harness.databases import Databases, with_database
from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import History, Simulation
from tests.simulation.shrinking import shrunk


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; 1 if a law is broken."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asked = _parser().parse_args(arguments)
    with _database(asked.url) as url, closing(Simulation(url)) as simulation:
        began_at = time.perf_counter()
        histories = list(_run(simulation, asked))
        took = time.perf_counter() - began_at
        if len(asked.seeds) > 1:
            count = len(histories)
            print(f"{count} histories in {took:.1f} s, {60 * count / took:.0f} a minute")
        failed = [one for one in histories if one.broken]
        if failed and not asked.first:
            print("the shortest history found that breaks the same law:")
            print(shrunk(simulation, failed[0]))
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", type=_seeds, help="one seed, or from the first to the last: 0-999")
    parser.add_argument("--url", help="a migrated database for this alone, as its superuser")
    parser.add_argument("--mutant", choices=MUTANTS, help="with this defect in the code")
    parser.add_argument("--first", action="store_true", help="end with the first broken law")
    parser.add_argument("--digests", action="store_true", help="say the digest of each history")
    return parser


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _run(simulation: Simulation, asked: argparse.Namespace) -> Iterator[History]:
    for seed in asked.seeds:
        history = simulation.run(seed)
        if len(asked.seeds) == 1:
            print(history)
        elif asked.digests or history.broken:
            print(history.title)
        yield history
        if history.broken and asked.first:
            return


@contextmanager
def _database(url: str | None) -> Iterator[str]:
    """The address of a migrated database; without one, on a server that ends with this."""
    if url is not None:
        yield url
        return
    with TemporaryDirectory(prefix="taskbell-") as name:
        folder = Path(name) / "data"
        folder.mkdir()
        server = EmbeddedPostgres(folder)
        try:
            yield asyncio.run(_migrated(server.url))
        finally:
            server.stop()


async def _migrated(url: str) -> str:
    async with Databases(url) as databases:
        return with_database(url, (await databases.take()).name)
