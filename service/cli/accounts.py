"""`taskbell accounts`: the connections to the systems, and how they are doing."""

from typing import Annotated

import typer

from service.cli.console import AsJson, say, show_rows
from service.cli.database import NoSuchAccount, with_pool
from service.clock import SystemClock
from service.store import Pool, accounts

app = typer.Typer(
    help="The connections to the systems, and how they are doing.", no_args_is_help=True
)

_COLUMNS = ("name", "system", "state", "tasks", "polled_at", "next_poll_at", "error")
_NONE = "no accounts: `taskbell serve` adds those of the configuration"


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """Every account: whether it works, since when not, and when it was last read."""

    async def read(pool: Pool) -> None:
        rows = await pool.fetch(
            """
            SELECT name, system, CASE WHEN paused THEN 'paused'
                WHEN failing_since IS NOT NULL THEN 'failing' WHEN baseline_at IS NULL
                THEN 'first sync' ELSE 'ok' END AS state,
                (SELECT count(*) FROM tasks WHERE account = name AND deleted_at IS NULL) AS tasks,
                polled_at, next_poll_at, failing_since, coalesce(error, warning) AS error
            FROM accounts ORDER BY name
            """
        )
        show_rows([dict(row) for row in rows], _COLUMNS, _NONE, as_json=as_json)

    with_pool(read)


@app.command()
def sync(
    account: Annotated[str, typer.Argument(help="The account's name.")], *, as_json: AsJson = False
) -> None:
    """Have the account read as a whole at once; the worker does it."""

    async def ask(pool: Pool) -> None:
        if not await accounts.poll_now(pool, account, SystemClock().now()):
            raise NoSuchAccount(f"there is no account {account}; see `taskbell accounts list`")

    with_pool(ask)
    say(f"{account} will be read as a whole at once", {"account": account}, as_json=as_json)
