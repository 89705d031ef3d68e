"""`taskbell outbox retry --state`: sends many deliveries again, after a question."""

from typing import Annotated

import typer

from service.cli.database import with_pool
from service.cli.output.console import say, who
from service.clock import SystemClock
from service.domain.model import State
from service.outbox import operator_actions
from service.outbox.operator_actions import BULK_STATES, MOST_AT_ONCE, BulkAction
from service.store import Pool
from service.store.views import messages
from service.store.views.message_search import Search
from service.web.presenters.customer_messages import to_customers

OfState = Annotated[
    State | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help=f"All deliveries of this state, up to {MOST_AT_ONCE}:"
        f" {', '.join(BULK_STATES[BulkAction.RETRY])}.",
    ),
]
OfChannel = Annotated[
    str | None,
    typer.Option("--channel", metavar="CHANNEL", help="Only messages by this channel."),
]
OfAccount = Annotated[
    str | None,
    typer.Option("--account", metavar="ACCOUNT", help="Only messages of this account."),
]
Yes = Annotated[bool, typer.Option("--yes", help="With --state: do not ask.")]


def retry_all(search: Search, *, is_asked: bool, as_json: bool) -> None:
    """Say how many they are, ask, and send them again if they are still as many."""
    total, customers = with_pool(lambda pool: _count(pool, search))
    noun = "delivery" if total == 1 else "deliveries"
    said = f"{total} {noun}, {customers or 'none'} to customers"
    if total and is_asked:
        typer.confirm(f"{said}. Send again?", abort=True, err=True)
    if total:
        with_pool(
            lambda pool: operator_actions.act_on_all(
                pool, SystemClock(), BulkAction.RETRY, search, total, by=who()
            )
        )
    done = f"{said}: {'will be sent again' if total else 'nothing to send'}"
    say(done, {"count": total, "customers": customers}, as_json=as_json)


async def _count(pool: Pool, search: Search) -> tuple[int, int]:
    """How many deliveries match, and how many of these reach a customer."""
    found = await operator_actions.matching(pool, BulkAction.RETRY, search)
    receivers = await messages.receivers(pool, found)
    return len(found), len(to_customers(receivers, await messages.tasks_of(pool, found)))
