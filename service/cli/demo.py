"""`taskbell demo`: an emulated company at work, and Taskbell's reaction."""

import asyncio
import os
import secrets

import typer

from service import store
from service.cli.instance import demo_configuration, demo_data, keep_addresses
from service.cli.output.console import AsJson
from service.cli.output.demo import announce, follow
from service.clock import SystemClock
from service.processes import fork_server, servers, signals
from service.processes.meanwhile import meanwhile
from service.processes.port_check import demand_free
from service.processes.procfile import environment, procfile, read_procfile
from service.processes.servers import Servers
from service.processes.supervisor import Launcher, Supervisor
from service.reload.file_watcher import first_look
from service.sandbox.app import Sandbox, running
from service.sandbox.office import Office
from service.sandbox.push import Subscription
from service.settings import Settings, read_settings
from service.telemetry import log

app = typer.Typer()

_PUSHED_ACCOUNT = "london"


@app.command()
def demo(*, as_json: AsJson = False) -> None:
    """Run the demo: emulated systems with simulated work, example rules, and an inbox.

    Nothing leaves this machine. The demo starts from the beginning each time.
    """
    settings = read_settings()
    level = os.environ.get("LOG_LEVEL", "WARNING")
    outer, data = settings.taskbell_data, demo_data(settings.taskbell_data)
    settings = settings.model_copy(update={"taskbell_data": data, "log_level": level})
    demand_free(settings.host, settings.port, "PORT=")
    log.configure(settings)
    for folder in (outer, data):
        servers.make_folder(folder)
    with (
        fork_server.running() as launcher,
        signals.ending_in_order(),
        servers.running(settings, anew=True) as on,
    ):
        asyncio.run(_run(settings, on, launcher, as_json=as_json))
        signals.ignore()


async def _run(settings: Settings, on: Servers, launcher: Launcher, *, as_json: bool) -> None:
    await store.bring_up_to_date(on.database)
    secret = secrets.token_hex(16)
    own = f"http://{settings.host}:{settings.port}"
    door = f"{own}/hooks/{_PUSHED_ACCOUNT}"
    sandbox = Sandbox(SystemClock(), [Subscription(door, secret)])
    office = Office(sandbox, SystemClock())
    async with (
        running(sandbox) as url,
        meanwhile(office.run(), follow(on.database, as_json=as_json)),
    ):
        given = {
            "SANDBOX_URL": url,
            "SANDBOX_SMTP": f"127.0.0.1:{sandbox.inbox.smtp_port}",
            "PLANNR_SIGNING_SECRET": secret,
            "TASKBELL_URL": settings.taskbell_url or own,
        }
        keep_addresses(settings.taskbell_data, given)
        announce(settings, url, as_json=as_json)
        line = first_look(demo_configuration(), {**os.environ, **given}).word.line()
        programs = read_procfile(procfile(), worker=settings.workers)
        environ = environment(
            DATABASE_URL=on.database,
            REDIS_URL=on.redis,
            LOG_LEVEL=settings.log_level,
            TASKBELL_URL=given["TASKBELL_URL"],
            TASKBELL_INBOX=f"{url}/inbox",
            TASKBELL_CONFIG=str(demo_configuration()),
            TASKBELL_EDIT="off",
        )
        supervisor = Supervisor(programs, environ, launcher, on.own)
        supervisor.tell(line, line)
        await supervisor.run()
