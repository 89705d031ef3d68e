"""`taskbell serve`: everything that has to run, under one supervisor."""

import asyncio
import os
from collections.abc import Mapping

import typer
import uvloop

from service import config, embedded, log, store
from service.cli.console import out
from service.settings import Settings, read_settings
from service.supervisor import Program, Supervisor, environment, procfile, read_procfile
from service.web import server

app = typer.Typer()


@app.command()
def serve() -> None:
    """Start Taskbell: web and worker, and PostgreSQL and Valkey where none are named.

    Without a configuration it runs the demo.
    """
    settings = read_settings()
    log.configure(settings)
    config.load(settings.taskbell_config, os.environ)
    run(settings, read_procfile(procfile()), {})


@app.command(hidden=True)
def web() -> None:
    """The web process, as the Procfile starts it."""
    settings = read_settings()
    log.configure(settings)
    uvloop.run(server.serve(settings, config.load(settings.taskbell_config, os.environ)))


def run(settings: Settings, programs: list[Program], more: Mapping[str, str]) -> None:
    """Start the servers that are missing and keep the programs running until Ctrl-C."""
    with (
        embedded.database(settings) as (database, postgres),
        embedded.redis(settings) as (
            redis,
            valkey,
        ),
    ):
        environ = environment(DATABASE_URL=database, REDIS_URL=redis, **more)
        own = [one for one in (postgres, valkey) if one is not None]
        supervisor = Supervisor(programs, environ, own)
        asyncio.run(_migrate(database))
        out.print(f"Taskbell is at http://{settings.host}:{settings.port}/  (Ctrl-C stops it)")
        asyncio.run(supervisor.run())


async def _migrate(database: str) -> None:
    async with await store.connect(database, size=1) as pool:
        await store.migrate(pool)
