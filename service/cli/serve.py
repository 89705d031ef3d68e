"""`taskbell serve`: all processes, under one supervisor."""

import asyncio
import os
from functools import partial

import structlog
import typer

from service import store
from service.change_plan import ChangePlan
from service.cli.output import change_plan
from service.cli.output.console import AsJson, out, say, show_json
from service.clock import SystemClock
from service.processes import fork_server, servers, signals
from service.processes.meanwhile import meanwhile
from service.processes.port_check import demand_free
from service.processes.procfile import environment, procfile, read_procfile
from service.processes.servers import Servers
from service.processes.supervisor import Launcher, Supervisor
from service.reload import LoadedConfig
from service.reload.file_watcher import first_look, look
from service.reload.publisher import ConfigPublisher
from service.settings import Settings, read_settings
from service.telemetry import log

app = typer.Typer()


@app.command()
def serve(*, as_json: AsJson = False) -> None:
    """Start Taskbell: web and worker processes.

    Without DATABASE_URL or REDIS_URL it also starts its own PostgreSQL or Valkey. Without a
    configuration it runs the demo.
    """
    settings = read_settings()
    if not settings.taskbell_config.exists() and "TASKBELL_CONFIG" not in os.environ:
        if not as_json:
            url = f"http://{settings.host}:{settings.port}/start"
            out.print(f"There is no {settings.taskbell_config} yet, so this is the demo.")
            out.print(f"To connect your own systems, open {url}", soft_wrap=True)
        # The emulated systems: only the demo needs them, and they take long to import.
        from service.cli.demo import demo  # noqa: PLC0415 (see above)

        demo(as_json=as_json)
        return
    log.configure(settings)
    first = first_look(settings.taskbell_config, os.environ)
    config = first.demand()
    demand_free(settings.host, settings.port, "PORT=")
    with (
        fork_server.running() as launcher,
        signals.ending_in_order(),
        servers.running(settings) as on,
    ):
        asyncio.run(store.bring_up_to_date(on.database))
        url = f"http://{settings.host}:{settings.port}/"
        _greet(settings, url, as_json=as_json)
        if not (config.accounts or as_json or settings.log_format == "json"):
            out.print(f"No system is connected yet: open {url}start", soft_wrap=True)
        asyncio.run(_run(settings, first, on, launcher, as_json=as_json))
        signals.ignore()


async def _run(
    settings: Settings, first: LoadedConfig, on: Servers, launcher: Launcher, *, as_json: bool
) -> None:
    environ = environment(DATABASE_URL=on.database, REDIS_URL=on.redis)
    asked = asyncio.Event()
    programs = read_procfile(procfile(), worker=settings.workers)
    supervisor = Supervisor(programs, environ, launcher, on.own, reload=asked.set)
    leading = ConfigPublisher(supervisor, first.word, on.database, SystemClock(), os.environ)
    readings = look(settings.taskbell_config, asked, os.environ, first)
    async with meanwhile(leading.run(readings, partial(_show, settings, as_json=as_json))):
        await supervisor.run()


def _show(settings: Settings, found: ChangePlan, *, as_json: bool) -> None:
    """Show the effects of a new configuration, beside its log line."""
    if as_json:
        show_json(found)
    elif settings.log_format != "json":
        out.print("Configuration reloaded:")
        for line in change_plan.lines(found):
            out.print(line, soft_wrap=True)


def _greet(settings: Settings, url: str, *, as_json: bool) -> None:
    """Greet the person who started it; with JSON logs, as a log line."""
    if settings.log_format == "json" and not as_json:
        structlog.get_logger().info("taskbell.started", url=url)
    else:
        say(f"Taskbell is at {url} (Ctrl-C stops it)", {"url": url}, as_json=as_json)
