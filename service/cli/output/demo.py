"""The demo's output: its addresses, and each delivery as soon as it has a result."""

import asyncio
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import asyncpg
from rich.markup import escape

from service import store
from service.cli.output.console import out, print_json_line, print_line
from service.clock import SystemClock
from service.settings import Settings
from service.store import DATABASE_GONE, Pool
from service.web.labels import CAUSES

_BETWEEN_LOOKS = 0.5  # seconds


def announce(settings: Settings, sandbox: str, *, as_json: bool) -> None:
    """Print the addresses of the demo and its inbox, and its data folder."""
    url, inbox = f"http://{settings.host}:{settings.port}/", f"{sandbox}/inbox"
    data = settings.taskbell_data.resolve()
    if as_json:
        print_json_line({"url": url, "inbox": inbox, "data": str(data)})
        return
    told = {
        "The demo is at": f"{url}  (Ctrl-C stops it)",
        "All sent messages": inbox,
        "2nd terminal": f"{_command()} outbox list  (in this folder)",
    }
    for what, where in told.items():
        print_line(f"{what:<17} {where}")
    out.print()


def _command() -> str:
    """The command for `taskbell` if it is not on the path, as after `make run`."""
    if shutil.which("taskbell") is not None:
        return "taskbell"
    script = Path(sys.executable).with_name("taskbell")
    here = Path.cwd()
    return shlex.quote(str(script.relative_to(here) if script.is_relative_to(here) else script))


async def follow(database: str, *, as_json: bool) -> None:
    """Print every delivery that ends from now on: its result, its receiver, and its cause."""
    since = SystemClock().now()
    async with await store.connect(database, size=1) as pool:
        while True:
            # A database that is being restarted is asked again.
            with suppress(*DATABASE_GONE):
                for row in await _settled(pool, since):
                    since = row["settled_at"]
                    print_json_line(dict(row)) if as_json else _print(row)
            await asyncio.sleep(_BETWEEN_LOOKS)


async def _settled(pool: Pool, since: object) -> list[asyncpg.Record]:
    return await pool.fetch(
        """
        SELECT deliveries.id, settled_at, channel, target, subject, text, state, reason, rule,
               events.cause, about.task ->> 'title' AS title,
               about.task #>> '{customer,name}' AS customer
        FROM deliveries JOIN events ON events.id = event,
             LATERAL (SELECT coalesce(events.after, events.before) AS task) AS about
        WHERE settled_at > $1 ORDER BY settled_at, deliveries.id
        """,
        since,
    )


def _print(row: asyncpg.Record) -> None:
    where = f"{row['channel']}:{row['target']}" if row["target"] else row["channel"]
    out.print(
        f"[dim]{row['settled_at'].astimezone():%H:%M:%S}[/dim] 🔔 [bold]{escape(where)}[/bold]"
        f"  {escape(_says(row))}  [dim]({escape(_outcome(row))})[/dim]",
        soft_wrap=True,
    )


def _outcome(row: asyncpg.Record) -> str:
    """How the cause of a sent message became known; otherwise the state and the reason."""
    if row["state"] == "sent":
        return CAUSES[row["cause"]]
    state = f"{row['state']}: "
    return state + str(row["reason"]).removeprefix(state)


def _says(row: asyncpg.Record) -> str:
    """The text of a message; if the system has its own text, the task and the receiver."""
    if row["text"]:
        return " — ".join(filter(None, (row["subject"], row["text"])))
    return " for ".join(filter(None, (row["title"] or row["rule"], row["customer"])))
