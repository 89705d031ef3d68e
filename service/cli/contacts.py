"""`taskbell contacts`: customers who want no messages, and those who have agreed to get some."""

from typing import Annotated

import typer

from service.cli.database import with_pool
from service.cli.output.console import AsJson, say, show_rows, who
from service.clock import SystemClock
from service.domain.contacts import ContactKey, NotOneKeyError, key_named
from service.store import Pool
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through

app = typer.Typer(
    help="Record which customers want no messages, and which have agreed.", no_args_is_help=True
)

_CLOCK = SystemClock()
_COLUMNS = ("kind", "value", "account", "made_at", "made_by", "made_through", "note")
_LONGEST_NOTE = 500

Address = Annotated[
    str,
    typer.Argument(metavar="ADDRESS", help="A mail address, or a phone number with its area code."),
]
Customer = Annotated[
    str, typer.Option(metavar="ID", help="Instead of an address: the customer's id.")
]
Account = Annotated[str, typer.Option(help="The account in which the customer has this id.")]
Note = Annotated[str, typer.Option(help="Why, or how the customer said so.")]


@app.command("list")
def list_(
    search: Annotated[
        str, typer.Argument(metavar="TEXT", help="A part of an address, a number or an id.")
    ] = "",
    *,
    agreed: Annotated[
        bool, typer.Option("--agreed", help="Instead, show who has agreed to get messages.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the customers who want no messages, the newest first."""
    rows = with_pool(lambda pool: contact_choices.listed(pool, wants=agreed, containing=search))
    if_none = "nobody has agreed" if agreed else "nobody has opted out"
    shown = rows if as_json else [row | {"made_at": row["at"]} for row in rows]
    show_rows(shown, _COLUMNS, if_none, as_json=as_json)


@app.command("opt-out")
def opt_out(
    address: Address = "",
    customer: Customer = "",
    account: Account = "",
    note: Note = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Record that a customer wants no messages, from any rule, channel or account.

    Messages that already wait are not sent either.
    """
    key = _choose(_key(address, customer, account), note, wants=False)
    says = f"{key} gets no more messages"
    say(says, _as_json(key, wants=False), as_json=as_json)


@app.command("opt-in")
def opt_in(
    address: Address = "",
    customer: Customer = "",
    account: Account = "",
    note: Note = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Record that a customer wants messages, even if they opted out in Taskbell before.

    A customer who has opted out in the system itself still gets none.
    """
    key = _choose(_key(address, customer, account), note, wants=True)
    say(f"{key} may get messages", _as_json(key, wants=True), as_json=as_json)


def _key(address: str, customer: str, account: str) -> ContactKey:
    try:
        return key_named(address.strip(), customer.strip(), account.strip())
    except NotOneKeyError as error:
        raise typer.BadParameter(str(error)) from None


def _choose(key: ContactKey, note: str, *, wants: bool) -> ContactKey:
    if not note.isprintable() or len(note) > _LONGEST_NOTE:
        message = f"a note has up to {_LONGEST_NOTE} printable characters"
        raise typer.BadParameter(message, param_hint="--note")

    async def work(pool: Pool) -> None:
        await contact_choices.demand_account(pool, key)
        now = _CLOCK.now()
        await contact_choices.choose(
            pool, [key], wants=wants, by=who(), through=Through.CLI, now=now, note=note.strip()
        )

    with_pool(work)
    return key


def _as_json(key: ContactKey, *, wants: bool) -> dict[str, object]:
    return {
        "kind": key.kind,
        "value": key.value,
        "account": key.account or None,
        "state": "opted_in" if wants else "opted_out",
    }
