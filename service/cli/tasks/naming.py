"""How a command names one task, and a time in the zone of its account."""

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from service.errors import TaskbellError
from service.store import Connection
from service.store.tasks import Key
from service.store.views import task_history

_MOST_NAMED = 10
EXAMPLE = "such as 2026-03-06T17:00. Without a time zone, the account's zone is used."  # of --at

Named = Annotated[
    str,
    typer.Argument(metavar="TASK", help="The task's id, or its title if only one task has it."),
]
Account = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Only a task in this account.")
]


class NoSuchTask(TaskbellError):
    """No task has this name, or several do; the message says which."""


async def one_task(connection: Connection, command: str, named: str, account: str | None) -> Key:
    """The task of this id or title; raises NoSuchTask, which says how `command` names each."""
    found = await task_history.find(connection, named, account)
    if not found:
        where = f" in {account}" if account else ""
        raise NoSuchTask(f"no task{where} has the id or the title {named}")
    if len(found) > 1:
        several = "\n".join(
            f"  taskbell {command} {number} --account {name}   # {title}"
            for name, number, title in found[:_MOST_NAMED]
        )
        raise NoSuchTask(f"{len(found)} tasks are called {named}; say which one:\n{several}")
    [(name, number, _)] = found
    return name, number


def moment(text: str, zone: ZoneInfo) -> datetime:
    """A time (UTC) as it is written after `--at`."""
    try:
        written = datetime.fromisoformat(text)
        return (written if written.tzinfo else written.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text} is not a time; write 2026-03-06T17:00") from None
