"""`taskbell web`: one web process."""

import os

import typer
import uvloop

from service.processes import parent_pipe
from service.processes.port_check import demand_free
from service.settings import read_settings
from service.telemetry import log, tracing
from service.web import server

app = typer.Typer()


@app.command(hidden=True)
def web() -> None:
    """The web process, as the Procfile starts it."""
    line = parent_pipe.end_with_supervisor(os.environ)
    with log.explaining_the_end():
        settings = read_settings()
        log.configure(settings)
        demand_free(settings.host, settings.port, "PORT=")
        with tracing.telling("web", os.environ):
            uvloop.run(server.serve(settings, line))
