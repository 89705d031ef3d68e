"""`taskbell outbox`: what was sent, what was not and why, and what a person decides about it."""

from typing import Annotated

import typer

from service.cli.console import AsJson, out, show_fields, show_rows
from service.cli.database import with_pool
from service.clock import SystemClock
from service.model import State
from service.outbox import NoSuchDelivery, rulings
from service.store import Pool

app = typer.Typer(help=__doc__, no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="The delivery's number, as `outbox list` shows it.")]

_COLUMNS = ("id", "state", "rule", "channel", "target", "task", "attempts", "created_at", "reason")


@app.command("list")
def list_(
    state: Annotated[
        list[State] | None, typer.Option(help="Only these states; may be given repeatedly.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """The latest deliveries, the newest first."""

    async def read(pool: Pool) -> None:
        rows = await pool.fetch(
            """
            SELECT id, account, task, event, rule, channel, target, state, reason, attempts, text,
                   created_at, next_attempt_at, settled_at
            FROM deliveries WHERE cardinality($1::text[]) = 0 OR state = ANY ($1)
            ORDER BY id DESC LIMIT $2
            """,
            state or [],
            limit,
        )
        show_rows([dict(row) for row in rows], _COLUMNS, as_json=as_json)

    with_pool(read)


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
def retry(delivery: Number) -> None:
    """Send once more what failed, expired, was cancelled or is unknown."""
    with_pool(lambda pool: rulings.retry(pool, SystemClock(), delivery))
    out.print(f"delivery {delivery} will be sent again")


@app.command()
def cancel(
    delivery: Number,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "a person cancelled it",
) -> None:
    """Withdraw what has not been sent yet."""
    with_pool(lambda pool: rulings.cancel(pool, SystemClock(), delivery, reason))
    out.print(f"delivery {delivery} is cancelled")


@app.command()
def resolve(
    delivery: Number,
    *,
    arrived: Annotated[
        bool, typer.Option("--arrived/--not-arrived", help="What you found out over there.")
    ],
) -> None:
    """Say how a delivery ended whose outcome is unknown; nothing is sent."""
    with_pool(lambda pool: rulings.resolve(pool, SystemClock(), delivery, arrived=arrived))
    out.print(f"delivery {delivery} is {'sent' if arrived else 'failed'}")
