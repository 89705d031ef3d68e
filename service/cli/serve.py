"""`taskbell serve`: everything that has to run, under one supervisor."""

import asyncio
import os

import typer
import uvloop

from service import config, embedded, log, store
from service.cli import demo
from service.cli.console import out
from service.settings import read_settings
from service.supervisor import Supervisor, environment, procfile, read_procfile
from service.web import server

app = typer.Typer()


@app.command()
def serve() -> None:
    """Start Taskbell: web and worker, and PostgreSQL and Valkey where none are named.

    Without a configuration it runs the demo.
    """
    settings = read_settings()
    if not settings.taskbell_config.exists() and "TASKBELL_CONFIG" not in os.environ:
        out.print(f"There is no {settings.taskbell_config} yet, so this is the demo.")
        demo.demo()
        return
    log.configure(settings)
    config.load(settings.taskbell_config, os.environ)
    with (
        embedded.database(settings) as (database, postgres),
        embedded.redis(settings) as (redis, valkey),
    ):
        environ = environment(DATABASE_URL=database, REDIS_URL=redis)
        own = [one for one in (postgres, valkey) if one is not None]
        asyncio.run(store.bring_up_to_date(database))
        out.print(f"Taskbell is at http://{settings.host}:{settings.port}/ (Ctrl-C stops it)")
        asyncio.run(Supervisor(read_procfile(procfile()), environ, own).run())


@app.command(hidden=True)
def web() -> None:
    """The web process, as the Procfile starts it."""
    settings = read_settings()
    log.configure(settings)
    uvloop.run(server.serve(settings, config.load(settings.taskbell_config, os.environ)))
