"""`taskbell outbox`: lists deliveries, and acts on them."""

from collections.abc import Awaitable, Callable
from textwrap import shorten
from typing import Annotated, Any

import asyncpg
import typer

from service.cli.database import with_pool
from service.cli.outbox.arguments import Number
from service.cli.outbox.bulk import (
    OfAccount,
    OfChannel,
    OfRule,
    ToDismiss,
    ToRetry,
    Yes,
    act_on_all,
    demand_one_or_many,
    search_for,
)
from service.cli.outbox.snooze import snooze
from service.cli.output.console import (
    AsJson,
    Since,
    Until,
    print_line,
    say,
    show_fields,
    show_json,
    show_rows,
    who,
)
from service.clock import SystemClock
from service.domain.model import State
from service.outbox import NoSuchDelivery, approvals, operator_actions, storms
from service.outbox.operator_actions import BulkAction
from service.store import Pool, dead_letters
from service.store.deliveries import REASON, TAKEN_BACK
from service.store.views import messages

app = typer.Typer(
    help="Show deliveries and act on them. A delivery is one message, or one write to a system.",
    no_args_is_help=True,
)

Reason = Annotated[str | None, typer.Option(help="The reason, stored with the delivery.")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")]
IsWebhook = Annotated[
    bool,
    typer.Option("--webhook", help="NUMBER is the number of an unreadable webhook."),
]
NumberOrMany = Annotated[
    int | None,
    typer.Argument(metavar="NUMBER", help="The delivery's number, or --state for many."),
]

_ALWAYS: Any = None
_COLUMNS = ("id", "state", "created_at", "rule", "to", "says")
_ATTEMPT = ("number", "began_at", "took_ms", "outcome", "status", "error")
_ATTEMPTS = 100
_FEW = 5
_LONGEST = 60  # characters of a text in a list; `outbox show` has all of it


@app.command("list")
def list_(
    state: Annotated[
        list[State] | None,
        typer.Option(
            metavar="STATE",
            help=f"Only these states; can be given more than once: {', '.join(State)}.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, metavar="NUMBER", help="Maximum number of rows.")
    ] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List the latest deliveries, newest first, and below them unreadable webhooks."""

    async def read(pool: Pool) -> None:
        rows = await pool.fetch(
            f"""
            SELECT id, account, task, event, rule, channel, target, state, {REASON} AS reason,
                   attempts, text, created_at, next_attempt_at, settled_at,
                   {TAKEN_BACK} AS taken_back,
                   concat_ws(':', channel, nullif(target, '')) AS to,
                   CASE WHEN state <> 'sent' AND reason IS NOT NULL THEN reason
                        WHEN text <> '' THEN text
                        ELSE (SELECT coalesce(after, before) ->> 'title' FROM events
                              WHERE events.id = event) END AS says
            FROM deliveries WHERE cardinality($1::text[]) = 0 OR state = ANY ($1)
            ORDER BY id DESC LIMIT $2
            """,
            state or [],
            limit,
        )
        found = [_told(row, as_json=as_json) for row in rows]
        show_rows(found, _COLUMNS, "no deliveries", as_json=as_json)
        if not as_json:
            _tell_unreadable(await dead_letters.asking(pool, _FEW))

    with_pool(read)


def _told(row: asyncpg.Record, *, as_json: bool) -> dict[str, Any]:
    """A delivery with its displayed state; a retracted one is "withdrawn after sending"."""
    told = dict(row)
    taken_back = told.pop("taken_back")
    if as_json:
        return told
    if taken_back:
        told["state"] = "withdrawn after sending"
    if told["text"] and told["says"] == told["text"]:
        told["says"] = shorten(told["says"], _LONGEST, placeholder=" …")
    return told


def _tell_unreadable(receipts: list[asyncpg.Record]) -> None:
    for one in receipts:
        print_line(f"could not read webhook {one['id']} for {one['account']}: {one['reason']}")
    if receipts:
        number = receipts[0]["id"]
        print_line(
            f"to try again: taskbell outbox retry --webhook {number};"
            f" to ignore it: taskbell outbox cancel --webhook {number}"
        )


@app.command()
def show(number: Number, *, as_json: AsJson = False) -> None:
    """Show everything about one delivery: its text, its reason and what happened to it."""

    async def read(pool: Pool) -> None:
        row = await pool.fetchrow(
            f"""
            SELECT deliveries.id, deliveries.account, deliveries.task, event,
                   events.kind AS because, events.cause AS learnt_by, rule, channel, target,
                   deliveries.state, {REASON} AS reason, attempts, text, subject, created_at,
                   next_attempt_at, expires_at, settled_at, acknowledged_at, approver, approve_by,
                   approved_by, key::text
            FROM deliveries LEFT JOIN events ON events.id = event WHERE deliveries.id = $1
            """,
            number,
        )
        if row is None:
            raise NoSuchDelivery(f"there is no delivery {number}")
        _show_delivery(dict(row), await messages.attempts(pool, number, _ATTEMPTS), as_json=as_json)

    with_pool(read)


def _show_delivery(
    delivery: dict[str, Any], attempts: list[asyncpg.Record], *, as_json: bool
) -> None:
    """The number of attempts stays what it is in a list; each by itself is in `each_attempt`."""
    made = [dict(one) for one in attempts]
    if as_json:
        show_json(delivery | {"each_attempt": made})
        return
    show_fields(delivery, as_json=False)
    if made:
        print_line("")
        show_rows(made, _ATTEMPT, "", as_json=False)


@app.command()
def retry(
    number: NumberOrMany = None,
    state: ToRetry = None,
    channel: OfChannel = None,
    rule: OfRule = None,
    account: OfAccount = None,
    since: Since = _ALWAYS,
    until: Until = None,
    *,
    yes: Yes = False,
    webhook: IsWebhook = False,
    as_json: AsJson = False,
) -> None:
    """Send a failed, expired, cancelled or unknown delivery again.

    A customer message is first checked against the system. With --state: send many again; it says
    how many, and asks. With --webhook: process an unreadable webhook again.
    """
    search = search_for(state, channel, rule, account, since, until)
    demand_one_or_many(number, search, webhook=webhook)
    if number is None:
        act_on_all(BulkAction.RETRY, search, is_asked=not yes, as_json=as_json)
    else:
        _retry_one(number, webhook=webhook, as_json=as_json)


def _retry_one(number: int, *, webhook: bool, as_json: bool) -> None:
    clock = SystemClock()
    if webhook:
        with_pool(lambda pool: dead_letters.read_again(pool, number, by=who(), now=clock.now()))
        _say("webhook", number, "pending", "will be read again", as_json=as_json)
        return
    with_pool(lambda pool: operator_actions.retry(pool, clock, number, by=who()))
    _say("delivery", number, State.PLANNED, "will be sent again", as_json=as_json)


@app.command("send-now")
def send_now(number: Number, *, as_json: AsJson = False) -> None:
    """Send a waiting delivery now, before its time or outside opening hours.

    Everything else is checked as usual: silences, holds, and a customer message against the system.
    """
    with_pool(lambda pool: operator_actions.send_now(pool, SystemClock(), number, by=who()))
    _say("delivery", number, State.PLANNED, "will be sent now", as_json=as_json)


app.command()(snooze)


@app.command()
def cancel(
    number: NumberOrMany = None,
    state: ToDismiss = None,
    channel: OfChannel = None,
    rule: OfRule = None,
    account: OfAccount = None,
    since: Since = _ALWAYS,
    until: Until = None,
    reason: Reason = None,
    *,
    yes: Yes = False,
    webhook: IsWebhook = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a pending delivery, or dismiss a failed one.

    A dismissed delivery stays failed and no longer needs attention. With --state failed: dismiss
    many; it says how many, and asks. With --webhook: ignore an unreadable webhook.
    """
    search = search_for(state, channel, rule, account, since, until)
    demand_one_or_many(number, search, webhook=webhook)
    if number is not None:
        _cancel_one(number, reason, webhook=webhook, as_json=as_json)
    elif reason is not None:
        raise typer.BadParameter("--reason is for one delivery, and not for --state.")
    else:
        act_on_all(BulkAction.DISMISS, search, is_asked=not yes, as_json=as_json)


def _cancel_one(number: int, reason: str | None, *, webhook: bool, as_json: bool) -> None:
    clock = SystemClock()
    if webhook:
        with_pool(lambda pool: dead_letters.leave(pool, number, by=who(), now=clock.now()))
        _say("webhook", number, "poison", "is ignored", as_json=as_json)
        return
    state = with_pool(
        lambda pool: operator_actions.cancel(pool, clock, number, by=who(), reason=reason)
    )
    dismissed = f"stays {state} and needs no more attention"
    what = "is cancelled" if state is State.CANCELLED else dismissed
    _say("delivery", number, state, what, as_json=as_json)


@app.command()
def approve(number: Number, *, as_json: AsJson = False) -> None:
    """Approve a delivery that waits for approval. It is sent when it is due."""
    with_pool(lambda pool: approvals.approve(pool, SystemClock(), number, by=who()))
    _say("delivery", number, State.PLANNED, "is approved", as_json=as_json)


@app.command()
def decline(number: Number, reason: Reason = None, *, as_json: AsJson = False) -> None:
    """Cancel a delivery that waits for approval."""
    clock, by = SystemClock(), who()
    with_pool(lambda pool: approvals.decline(pool, clock, number, by=by, reason=reason))
    _say("delivery", number, State.CANCELLED, "is declined", as_json=as_json)


@app.command()
def release(account: Account, rule: OfRule = None, *, as_json: AsJson = False) -> None:
    """Send the messages of an account that the storm guard holds, because there were too many."""
    _end_storms(storms.release, account, rule, "will be sent", as_json=as_json)


@app.command()
def drop(account: Account, rule: OfRule = None, *, as_json: AsJson = False) -> None:
    """Cancel the messages of an account that the storm guard holds, because there were too many.

    They are not sent later.
    """
    _end_storms(storms.drop, account, rule, "will not be sent", as_json=as_json)


@app.command()
def resolve(
    number: Number,
    *,
    arrived: Annotated[
        bool | None,
        typer.Option(
            "--arrived/--not-arrived",
            show_default="one of them is required",
            help="Whether the message arrived.",
        ),
    ] = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Record whether a delivery with an unknown outcome arrived. Nothing is sent."""
    if arrived is None:
        raise typer.BadParameter(
            "First check in the system whether it arrived. Then add --arrived or --not-arrived."
        )
    with_pool(
        lambda pool: operator_actions.resolve(
            pool, SystemClock(), number, by=who(), arrived=arrived, reason=reason
        )
    )
    state = State.SENT if arrived else State.FAILED
    _say("delivery", number, state, f"counts as {state}", as_json=as_json)


def _end_storms(
    end: Callable[..., Awaitable[storms.Ended]],
    account: str,
    rule: str | None,
    done: str,
    *,
    as_json: bool,
) -> None:
    async def work(pool: Pool) -> int:
        open_ = await storms.open_in(pool, account, rule)
        ended = [await end(pool, SystemClock(), storm, by=who()) for storm in open_]
        return sum(count for _, count in ended)

    count = with_pool(work)
    messages = "1 message" if count == 1 else f"{count} messages"
    say(f"{messages} of {account} {done}", {"account": account, "messages": count}, as_json=as_json)


def _say(noun: str, number: int, state: str, what: str, *, as_json: bool) -> None:
    say(f"{noun} {number} {what}", {"id": number, "state": state}, as_json=as_json)
