"""`taskbell demo`: an emulated firm at work, and everything Taskbell makes of it."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

import asyncpg
import typer
from rich.markup import escape

from service import embedded, log, store
from service.cli.console import out
from service.clock import SystemClock
from service.sandbox.app import Sandbox, running
from service.sandbox.office import Office
from service.sandbox.push import Subscription
from service.settings import Settings, read_settings
from service.supervisor import Revivable, Supervisor, environment, procfile, read_procfile

app = typer.Typer()

_PUSHED_ACCOUNT = "london"
_BETWEEN_LOOKS = 0.5  # seconds
_BECAUSE = {
    "webhook": "a webhook told us",
    "poll": "found by polling",
    "fetch": "found by asking",
    "clock": "the clock brought it",
    "write": "we did it ourselves",
    "signal": "somebody signalled",
}


@app.command()
def demo() -> None:
    """Run the demo: emulated systems with work going on, example rules, and an inbox.

    Nothing leaves this machine. It begins anew each time.
    """
    settings = read_settings()
    settings = settings.model_copy(update={"taskbell_data": settings.taskbell_data / "demo"})
    shutil.rmtree(settings.taskbell_data, ignore_errors=True)
    log.configure(settings)
    with (
        embedded.database(settings) as (database, postgres),
        embedded.redis(settings) as (redis, valkey),
    ):
        own = [one for one in (postgres, valkey) if one is not None]
        asyncio.run(_run(settings, database, redis, own))


async def _run(settings: Settings, database: str, redis: str, own: Sequence[Revivable]) -> None:
    await store.bring_up_to_date(database)
    secret = secrets.token_hex(16)
    door = f"http://{settings.host}:{settings.port}/hooks/{_PUSHED_ACCOUNT}"
    sandbox = Sandbox(SystemClock(), [Subscription(door, secret)])
    async with running(sandbox) as url, _meanwhile(sandbox, database):
        environ = environment(
            DATABASE_URL=database,
            REDIS_URL=redis,
            TASKBELL_CONFIG=str(_configuration()),
            SANDBOX_URL=url,
            SANDBOX_SMTP=f"127.0.0.1:{sandbox.inbox.smtp_port}",
            PLANNR_SIGNING_SECRET=secret,
            LOG_LEVEL=os.environ.get("LOG_LEVEL", "WARNING"),
        )
        out.print(f"The demo is at http://{settings.host}:{settings.port}/ (Ctrl-C stops it)")
        out.print(f"What was sent to anybody: {url}/inbox\n")
        await Supervisor(read_procfile(procfile()), environ, own).run()


@asynccontextmanager
async def _meanwhile(sandbox: Sandbox, database: str) -> AsyncIterator[None]:
    """Have the office work and the terminal tell, for as long as the supervisor runs."""
    beside = [
        asyncio.create_task(Office(sandbox, SystemClock()).run()),
        asyncio.create_task(_tell(database)),
    ]
    try:
        yield
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _tell(database: str) -> None:
    """Print each delivery when it is settled: what was sent where, and how it was known."""
    last = SystemClock().now()
    async with await store.connect(database, size=1) as pool:
        while True:
            rows = await pool.fetch(
                """
                SELECT settled_at, channel, target, text, state, reason, rule,
                       events.cause
                FROM deliveries JOIN events ON events.id = event
                WHERE settled_at > $1 ORDER BY settled_at, deliveries.id
                """,
                last,
            )
            for row in rows:
                _print(row)
                last = row["settled_at"]
            await asyncio.sleep(_BETWEEN_LOOKS)


def _print(row: asyncpg.Record) -> None:
    where = f"{row['channel']}:{row['target']}" if row["target"] else row["channel"]
    text = row["text"] or row["rule"]
    how = _BECAUSE[row["cause"]] if row["state"] == "sent" else f"{row['state']}: {row['reason']}"
    out.print(
        f"[dim]{row['settled_at'].astimezone():%H:%M:%S}[/dim] 🔔 [bold]{escape(where)}[/bold]"
        f"  {escape(text)}  [dim]({escape(how)})[/dim]"
    )


def _configuration() -> Path:
    return Path(str(resources.files("service.sandbox") / "demo.yaml"))
