"""`taskbell outbox retry|cancel --state`: acts on many deliveries, after a question."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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

_ALL_OF = f"All deliveries of this state, up to {MOST_AT_ONCE}:"

ToRetry = Annotated[
    State | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help=f"{_ALL_OF} {', '.join(BULK_STATES[BulkAction.RETRY])}.",
    ),
]
ToDismiss = Annotated[
    State | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help=f"{_ALL_OF} {', '.join(BULK_STATES[BulkAction.DISMISS])}.",
    ),
]
OfChannel = Annotated[
    str | None,
    typer.Option("--channel", metavar="CHANNEL", help="Only messages through this channel."),
]
OfRule = Annotated[
    str | None,
    typer.Option("--rule", metavar="RULE", help="Only messages of this rule."),
]
OfAccount = Annotated[
    str | None,
    typer.Option("--account", metavar="ACCOUNT", help="Only messages of this account."),
]
Yes = Annotated[bool, typer.Option("--yes", help="With --state: do not ask.")]


@dataclass(frozen=True, slots=True)
class _Words:
    """How an action is asked for and told."""

    question: str
    done: str
    none: str


_WORDS: Mapping[BulkAction, _Words] = {
    BulkAction.RETRY: _Words("Send again?", "will be sent again", "nothing to send"),
    BulkAction.DISMISS: _Words(
        "Dismiss them? They stay failed.", "need no more attention", "nothing to dismiss"
    ),
}


def search_for(
    state: State | None,
    channel: str | None,
    rule: str | None,
    account: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Search:
    """The deliveries that the options of a command select; without any it is empty."""
    return Search(
        state=state or "",
        channel=_given("--channel", channel),
        rule=_given("--rule", rule),
        account=_given("--account", account),
        since=since,
        until=until,
    )


def _given(option: str, name: str | None) -> str:
    """The name; "" without the option. An unset variable of a shell would select everything."""
    if name is not None and not name.strip():
        raise typer.BadParameter(f"{option} is empty. Write a name, or leave the option out.")
    return name or ""


def demand_one_or_many(number: int | None, search: Search, *, webhook: bool) -> None:
    """Raise a usage error unless either a number or --state is given; a webhook has a number."""
    if number is not None and search != Search():
        raise typer.BadParameter("Write either the NUMBER of one delivery, or --state for many.")
    if number is None and (not search.state or webhook):
        raise typer.BadParameter("Write the NUMBER, or --state for many deliveries.")


def act_on_all(action: BulkAction, search: Search, *, is_asked: bool, as_json: bool) -> None:
    """Say how many they are, ask, and do it to them if they are still as many."""
    total, customers = with_pool(lambda pool: _count(pool, action, search))
    noun, words = "delivery" if total == 1 else "deliveries", _WORDS[action]
    said = f"{total} {noun}, {customers or 'none'} to customers"
    if total and is_asked:
        typer.confirm(f"{said}. {words.question}", abort=True, err=True)
    if total:
        with_pool(
            lambda pool: operator_actions.act_on_all(
                pool, SystemClock(), action, search, total, by=who()
            )
        )
    done = f"{said}: {words.done if total else words.none}"
    say(done, {"count": total, "customers": customers}, as_json=as_json)


async def _count(pool: Pool, action: BulkAction, search: Search) -> tuple[int, int]:
    """How many deliveries match, and how many of these reach a customer."""
    found = await operator_actions.matching(pool, action, search)
    receivers = await messages.receivers(pool, found)
    return len(found), len(to_customers(receivers, await messages.tasks_of(pool, found)))
