"""`taskbell outbox`: what was sent, what was not and why, and what a person decides about it."""

from typing import Annotated

import asyncpg
import typer

from service.cli.console import AsJson, out, say, show_fields, show_rows
from service.cli.database import with_pool
from service.clock import SystemClock
from service.model import State
from service.outbox import NoSuchDelivery, rulings
from service.store import Pool, overview

app = typer.Typer(
    help="What was sent, what was not and why, and what a person decides about it.",
    no_args_is_help=True,
)

Number = Annotated[int, typer.Argument(help="The delivery's number, as `outbox list` shows it.")]

_COLUMNS = ("id", "state", "created_at", "rule", "to", "says")
_FEW = 5


@app.command("list")
def list_(
    state: Annotated[
        list[State] | None,
        typer.Option(metavar="STATE", help=f"Only these, may be repeated: {', '.join(State)}."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="NUMBER")] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """The latest deliveries, the newest first; below them, webhooks that nobody could read."""

    async def read(pool: Pool) -> None:
        rows = await pool.fetch(
            """
            SELECT id, account, task, event, rule, channel, target, state, reason, attempts, text,
                   created_at, next_attempt_at, settled_at,
                   concat_ws(':', channel, nullif(target, '')) AS to,
                   CASE state WHEN 'sent' THEN text ELSE coalesce(reason, text) END AS says
            FROM deliveries WHERE cardinality($1::text[]) = 0 OR state = ANY ($1)
            ORDER BY id DESC LIMIT $2
            """,
            state or [],
            limit,
        )
        show_rows([dict(row) for row in rows], _COLUMNS, as_json=as_json)
        if not as_json:
            _tell_set_aside(await overview.set_aside(pool, _FEW))

    with_pool(read)


def _tell_set_aside(receipts: list[asyncpg.Record]) -> None:
    for one in receipts:
        what = f"set aside: webhook {one['id']} for {one['account']}: {one['reason']}"
        out.print(what, markup=False, soft_wrap=True)


@app.command()
def show(delivery: Number, *, as_json: AsJson = False) -> None:
    """Everything about one delivery: what it says, why it exists, how it went."""

    async def read(pool: Pool) -> None:
        row = await pool.fetchrow(
            """
            SELECT deliveries.id, deliveries.account, deliveries.task, event,
                   events.kind AS because, events.cause AS learnt_by, rule, channel, target,
                   deliveries.state, deliveries.reason, attempts, text, subject, created_at,
                   next_attempt_at, expires_at, settled_at, key::text
            FROM deliveries LEFT JOIN events ON events.id = event WHERE deliveries.id = $1
            """,
            delivery,
        )
        if row is None:
            raise NoSuchDelivery(f"there is no delivery {delivery}")
        show_fields(dict(row), as_json=as_json)

    with_pool(read)


@app.command()
def retry(delivery: Number, *, as_json: AsJson = False) -> None:
    """Send once more what failed, expired, was cancelled or is unknown."""
    with_pool(lambda pool: rulings.retry(pool, SystemClock(), delivery))
    _say(delivery, State.PLANNED, "will be sent again", as_json=as_json)


@app.command()
def cancel(
    delivery: Number,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "a person cancelled it",
    *,
    as_json: AsJson = False,
) -> None:
    """Withdraw what has not been sent yet."""
    with_pool(lambda pool: rulings.cancel(pool, SystemClock(), delivery, reason))
    _say(delivery, State.CANCELLED, "is cancelled", as_json=as_json)


@app.command()
def resolve(
    delivery: Number,
    *,
    arrived: Annotated[
        bool, typer.Option("--arrived/--not-arrived", help="What you found out over there.")
    ],
    as_json: AsJson = False,
) -> None:
    """Say how a delivery ended whose outcome is unknown; nothing is sent."""
    with_pool(lambda pool: rulings.resolve(pool, SystemClock(), delivery, arrived=arrived))
    state = State.SENT if arrived else State.FAILED
    _say(delivery, state, f"counts as {state}", as_json=as_json)


def _say(delivery: int, state: State, what: str, *, as_json: bool) -> None:
    says = {"id": delivery, "state": state}
    say(f"delivery {delivery} {what}", says, as_json=as_json)
