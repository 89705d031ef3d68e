"""`taskbell accounts`: lists, syncs, pauses and resumes the connections to the systems."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from service.cli.database import with_pool
from service.cli.output.account_waits import short_time, tell_waits
from service.cli.output.console import AsJson, print_line, say, show_json, show_rows, who
from service.cli.output.overrides import lines_of
from service.cli.output.sync_progress import follow
from service.clock import SystemClock
from service.domain.operators.overrides import Override
from service.explain import account_status
from service.store import Pool, account_actions, tasks
from service.store.operators import rule_overrides
from service.store.views import api_lists

app = typer.Typer(
    help="List, sync, pause and resume the connections to the systems.", no_args_is_help=True
)

_COLUMNS = ("name", "system", "state", "tasks", "missed", "polled_at", "next_poll_at")
_NONE = "no accounts: `taskbell serve` adds those of the configuration"
_CLOCK = SystemClock()
_READS = frozenset({account_status.FIRST_SYNC, account_status.READING_AGAIN})

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]
Believes = Annotated[
    bool,
    typer.Option(
        "--believe",
        help="Accept that all missing tasks are deleted. This triggers rules for task.deleted.",
    ),
]
Waits = Annotated[
    bool, typer.Option("--wait", help="Wait until the sync is done, and show the progress.")
]


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List all accounts with their state, their error and their last sync.

    "missed" counts the changes that polling found and no webhook had reported.
    """

    async def read(pool: Pool) -> tuple[list[dict[str, Any]], dict[str, Override]]:
        counts = await tasks.count(pool)
        found = await api_lists.read_accounts(pool, _CLOCK.now())
        rows = [{"name": one["id"], **one, "tasks": counts.get(one["id"], 0)} for one in found]
        return rows, await rule_overrides.read(pool)

    found, overrides = with_pool(read)
    if as_json:
        show_json(found)
        return
    show_rows([one | {"state": _state(one)} for one in found], _COLUMNS, _NONE, as_json=False)
    for one in found:
        for line in _complaints(one):
            print_line(line)
    tell_waits(found)
    for line in lines_of(overrides):
        print_line(line)


def _complaints(account: dict[str, Any]) -> Iterator[str]:
    """The errors of accounts, and since when. They are too long for a column."""
    name, since = account["name"], account["failing_since"]
    subject = f"{name}, failing since {short_time(since)}" if since else name
    for said in (account["error"] or "").splitlines():
        yield f"{subject}: {said.removeprefix(f'{name}: ')}"
        subject = name


def _state(account: dict[str, Any]) -> str:
    """The state as text: the progress of the first sync, or of another full sync."""
    name = account_status.name_of(account)
    match account:
        case {"scan_read": int(read), "scan_total": int(total)} if name in _READS:
            return f"{name}: {read:,} of {total:,} tasks so far"
        case {"scan_read": int(read)} if name in _READS:
            return f"{name}: {read:,} tasks so far"
    return name


@app.command()
def sync(
    account: Name, *, believe: Believes = False, wait: Waits = False, as_json: AsJson = False
) -> None:
    """Start a full sync of an account: read all its tasks. Changes that it finds trigger rules."""

    async def ask(pool: Pool) -> None:
        now = _CLOCK.now()
        await account_actions.sync(pool, account, now, by=who(), believe=believe)
        if wait:
            await follow(pool, account, now)

    with_pool(ask)
    says = "has read all tasks of" if wait else "will read all tasks of"
    when = "" if wait else " now"
    say(f"Taskbell {says} {account}{when}", {"account": account}, as_json=as_json)


@app.command()
def pause(account: Name, *, as_json: AsJson = False) -> None:
    """Stop reading from an account's system and sending through it, until it is resumed.

    Its webhooks are still accepted.
    """

    async def ask(pool: Pool) -> None:
        await account_actions.pause(pool, account, _CLOCK.now(), by=who())

    with_pool(ask)
    says = (
        f"{account} is paused. Taskbell does not contact its system. Webhooks are still accepted."
    )
    say(says, {"account": account, "paused": True}, as_json=as_json)


@app.command()
def resume(account: Name, *, as_json: AsJson = False) -> None:
    """Resume an account that was paused. Taskbell reads all its tasks first."""

    async def ask(pool: Pool) -> bool:
        return await account_actions.resume(pool, account, _CLOCK.now(), by=who())

    was_paused = with_pool(ask)
    says = "is resumed. Taskbell reads all its tasks first." if was_paused else "was not paused"
    say(f"{account} {says}", {"account": account, "paused": False}, as_json=as_json)
