"""`taskbell tasks`: finds tasks, and shows one with its events and messages."""

from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from service.cli.database import with_pool
from service.cli.output import task as output
from service.cli.output.console import (
    AsJson,
    print_line,
    say,
    show_json,
    show_rows,
    who,
)
from service.cli.tasks.naming import Account, Named, one_task
from service.clock import SystemClock
from service.diagnostics import did_you_mean
from service.domain.model import Person
from service.errors import TaskbellError
from service.explain import summary
from service.store import Pool, accounts
from service.store.operators import answers, assignments, completions
from service.store.tasks import Key
from service.store.views import api_lists, listing, task_history, task_search
from service.store.views.listing import Row
from service.store.views.task_history import TaskHistory
from service.store.views.task_search import TaskPage, TaskQuery

app = typer.Typer(help="Find tasks, and show one of them.", no_args_is_help=True)

_COLUMNS = ("account", "id", "title", "state", "customer", "assigned to", "due")
_MESSAGES = 50
_UTC = ZoneInfo("UTC")

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WORD",
        help="Beginnings of words: of the title, the id, or a name that belongs to the task.",
    ),
]
InState = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help=f"Only this state: {', '.join(task_search.STANDINGS)}.",
    ),
]
Assignee = Annotated[
    str, typer.Argument(metavar="PERSON", help="Their id, mail address or name in the system.")
]
Limit = Annotated[
    int, typer.Option(min=1, max=500, metavar="NUMBER", help="Maximum number of rows.")
]


class NoSuchAccount(TaskbellError):
    """Taskbell has no account of this name."""


@app.command("list")
def list_(
    words: Words = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Only tasks in this account.")
    ] = None,
    state: InState = None,
    limit: Limit = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List the tasks that Taskbell saw last, or those with these words.

    Deleted tasks are listed with --state deleted only.
    """
    if state is not None and state not in task_search.STANDINGS:
        hint = f"one of {', '.join(task_search.STANDINGS)}"
        raise typer.BadParameter(f"it must be {hint}, not {state}", param_hint="--state")
    query = TaskQuery(" ".join(words or ()), account, state)

    async def read(pool: Pool) -> tuple[TaskPage, dict[str, ZoneInfo]]:
        zones = await accounts.zones_of(pool)
        if account is not None and account not in zones:
            hint = did_you_mean(account, zones) or "see `taskbell accounts list`"
            raise NoSuchAccount(f"there is no account {account}; {hint}")
        return await task_search.find(pool, query, limit), zones

    page, zones = with_pool(read)
    if as_json:
        show_json([one.summary for one in page.tasks])
        return
    rows = [output.row_of(one, zones.get(one.task.account, _UTC)) for one in page.tasks]
    show_rows(rows, _COLUMNS, "no tasks" if not words else "no task has these words", as_json=False)
    if page.next is not None:
        print_line("… and more; --limit shows more of them")


@app.command()
def show(task: Named, *, account: Account = None, as_json: AsJson = False) -> None:
    """Show one task: its fields, its link, what happened to it, and the messages about it."""

    async def read(pool: Pool) -> tuple[TaskHistory, list[Row], ZoneInfo]:
        async with pool.acquire() as connection:
            key = await one_task(connection, "tasks show", task, account)
            papers = await task_history.read(connection, key)
        about = dict(zip(("account", "task"), key, strict=True))
        messages = await listing.read_rows(pool, api_lists.DELIVERIES, about, _MESSAGES)
        return papers, messages, (await accounts.zones_of(pool)).get(key[0], _UTC)

    papers, messages, zone = with_pool(read)
    if as_json:
        show_json({**_as_json(papers), "messages": messages})
        return
    for line in output.lines(papers, messages, zone):
        print_line(line)


@app.command()
def acknowledge(task: Named, *, account: Account = None, as_json: AsJson = False) -> None:
    """Say that you take care of a task. Escalations about it stop."""
    by = who()

    async def answer(pool: Pool) -> Key:
        async with pool.acquire() as connection:
            key = await one_task(connection, "tasks acknowledge", task, account)
        now = SystemClock().now()
        await answers.acknowledge(pool, key, Person(name=by.name), now, by=by)
        return key

    key = with_pool(answer)
    said = f"task {key[1]} in {key[0]} is acknowledged"
    say(said, {"account": key[0], "id": key[1]}, as_json=as_json)


@app.command()
def assign(
    task: Named, person: Assignee, *, account: Account = None, as_json: AsJson = False
) -> None:
    """Assign a task to a person, in its system."""
    # The other commands for tasks need no system, and start faster without.
    from service.sources import assignable  # noqa: PLC0415

    by = who()

    async def write(pool: Pool) -> tuple[Key, Person]:
        async with pool.acquire() as connection:
            key = await one_task(connection, "tasks assign", task, account)
        now = SystemClock().now()
        _, assignee = await assignments.assign(pool, key, person, assignable(), now, by=by)
        return key, assignee

    key, assignee = with_pool(write)
    said = f"task {key[1]} in {key[0]} is being assigned to {assignments.shown(assignee)}"
    about = {"account": key[0], "id": key[1], "assignee": assignee}
    say(said, about, as_json=as_json)


@app.command()
def complete(task: Named, *, account: Account = None, as_json: AsJson = False) -> None:
    """Complete a task in its system. Rules about completions act, as if you had done it there."""
    from service.sources import completable  # noqa: PLC0415

    by = who()

    async def write(pool: Pool) -> Key:
        async with pool.acquire() as connection:
            key = await one_task(connection, "tasks complete", task, account)
        await completions.complete(pool, key, completable(), SystemClock().now(), by=by)
        return key

    key = with_pool(write)
    said = f"task {key[1]} in {key[0]} is being completed"
    say(said, {"account": key[0], "id": key[1]}, as_json=as_json)


def _as_json(papers: TaskHistory) -> dict[str, Any]:
    """What `taskbell explain --json` has of the task, without the rules."""
    told = summary.as_json(papers, (), is_loaded=True)
    names = ("task", "deleted_at", "absent_since", "unread", "events")
    return {name: told[name] for name in names}
