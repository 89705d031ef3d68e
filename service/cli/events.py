"""`taskbell events`: the recorded events of tasks."""

from datetime import datetime
from typing import Annotated, Any

import orjson
import typer

from service.cli.database import with_pool
from service.cli.output.console import A_DAY, AsJson, Since, show_rows
from service.domain.model import Kind
from service.store import Pool
from service.store.views import api_lists, listing

app = typer.Typer()

_COLUMNS = ("id", "happened_at", "account", "task", "kind", "cause", "title")

Account = Annotated[str | None, typer.Option(metavar="NAME", help="Only events in this account.")]
Task = Annotated[str | None, typer.Option(metavar="ID", help="Only events of this task.")]
OfKind = Annotated[
    Kind | None, typer.Option("--kind", metavar="KIND", help=f"Only this kind: {', '.join(Kind)}.")
]
Limit = Annotated[
    int, typer.Option(min=1, max=1000, metavar="NUMBER", help="Maximum number of rows.")
]


@app.command("events")
def list_events(
    account: Account = None,
    task: Task = None,
    kind: OfKind = None,
    since: Since = A_DAY,
    limit: Limit = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List the latest events, newest first: which task changed, how, and how Taskbell noticed."""
    asked = {"account": account, "task": task, "kind": kind, "since": since}
    wanted = {name: value for name, value in asked.items() if value is not None}

    async def read(pool: Pool) -> list[listing.Row]:
        return await listing.read_rows(pool, api_lists.EVENTS, wanted, limit)

    rows = with_pool(read)
    shown = rows if as_json else [_in_words(row) for row in rows]
    show_rows(shown, _COLUMNS, "nothing happened in that time", as_json=as_json)


def _in_words(row: listing.Row) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(orjson.dumps(row))
    task = shown["after"] or shown["before"] or {}
    happened_at = datetime.fromisoformat(shown["at"])
    return {**shown, "happened_at": happened_at, "title": task.get("title")}
