"""`taskbell demo`: an emulated firm at work, and everything Taskbell makes of it."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

import typer

from service import embedded, log, store
from service.cli.console import AsJson
from service.cli.listening import demand_free
from service.cli.telling import announce, follow
from service.clock import SystemClock
from service.sandbox.app import Sandbox, running
from service.sandbox.office import Office
from service.sandbox.push import Subscription
from service.settings import Settings, read_settings
from service.supervisor import (
    Revivable,
    Supervisor,
    environment,
    heed_sigterm,
    procfile,
    read_procfile,
)

app = typer.Typer()

_PUSHED_ACCOUNT = "london"


@app.command()
def demo(*, as_json: AsJson = False) -> None:
    """Run the demo: emulated systems with work going on, example rules, and an inbox.

    Nothing leaves this machine. It begins anew each time.
    """
    settings = read_settings()
    level = os.environ.get("LOG_LEVEL", "WARNING")
    data = settings.taskbell_data / "demo"
    settings = settings.model_copy(update={"taskbell_data": data, "log_level": level})
    # Before the old data goes: another demo may be at work on it.
    demand_free(settings.host, settings.port, "PORT=")
    shutil.rmtree(settings.taskbell_data, ignore_errors=True)
    log.configure(settings)
    heed_sigterm()
    with (
        embedded.database(settings) as (database, postgres),
        embedded.redis(settings) as (redis, valkey),
    ):
        own = [one for one in (postgres, valkey) if one is not None]
        asyncio.run(_run(settings, database, redis, own, as_json=as_json))


async def _run(
    settings: Settings, database: str, redis: str, own: Sequence[Revivable], *, as_json: bool
) -> None:
    await store.bring_up_to_date(database)
    secret = secrets.token_hex(16)
    door = f"http://{settings.host}:{settings.port}/hooks/{_PUSHED_ACCOUNT}"
    sandbox = Sandbox(SystemClock(), [Subscription(door, secret)])
    office = Office(sandbox, SystemClock())
    async with (
        running(sandbox) as url,
        _meanwhile(office.run(), follow(database, as_json=as_json)),
    ):
        environ = environment(
            DATABASE_URL=database,
            REDIS_URL=redis,
            TASKBELL_CONFIG=str(_configuration()),
            SANDBOX_URL=url,
            SANDBOX_SMTP=f"127.0.0.1:{sandbox.inbox.smtp_port}",
            PLANNR_SIGNING_SECRET=secret,
            LOG_LEVEL=settings.log_level,
        )
        announce(settings, url, as_json=as_json)
        await Supervisor(read_procfile(procfile()), environ, own).run()


@asynccontextmanager
async def _meanwhile(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Have this work go on for as long as the context is open."""
    beside = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


def _configuration() -> Path:
    return Path(str(resources.files("service.sandbox") / "demo.yaml"))
