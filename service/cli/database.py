"""`taskbell migrate`, and database access for commands."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import typer
import uvloop
from asyncpg.exceptions import UndefinedTableError

from service import store
from service.cli.instance import NoInstance, find
from service.cli.output.console import AsJson, say
from service.domain.operators.overrides import Override
from service.processes import embedded
from service.settings import Settings, read_settings
from service.store import Pool
from service.store.operators import rule_overrides
from service.telemetry import log

Answer = TypeVar("Answer")

app = typer.Typer()


@app.command()
def migrate(*, as_json: AsJson = False) -> None:
    """Bring the database's tables up to date. Safe while Taskbell is running."""
    settings = read_settings()
    with suppress(NoInstance):  # then there is nothing yet, and this makes it
        settings = find(settings)
    with _database(settings) as url:
        applied = uvloop.run(store.bring_up_to_date(url))
    says = f"applied {', '.join(applied)}" if applied else "the database is up to date"
    say(says, {"applied": applied}, as_json=as_json)


def with_pool(work: Callable[[Pool], Awaitable[Answer]]) -> Answer:
    """Run `work` on the database of the settings, or on the embedded one; returns its answer."""

    async def run(url: str) -> Answer:
        async with await store.connect(url, size=1) as pool, store.explained(pool):
            await store.migrate(pool)
            return await work(pool)

    with _database(find(read_settings())) as url:
        return uvloop.run(run(url))


def overrides_at_work(settings: Settings) -> dict[str, Override]:
    """The overrides of rules in the Taskbell that runs here; none if none runs.

    Changes nothing: the tables may be those of an earlier version.
    """

    async def read(url: str) -> dict[str, Override]:
        async with await store.connect(url, size=1) as pool:
            try:
                return await rule_overrides.read(pool)
            except UndefinedTableError:  # no tables yet, or those of a version without overrides
                return {}

    if settings.database_url is None and not embedded.is_at_work(settings.taskbell_data):
        return {}
    with _database(settings) as url:
        return uvloop.run(read(url))


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    # To standard error: what a command answers is all that its output holds.
    log.configure(settings)
    with embedded.database(settings) as (url, _):
        yield url
