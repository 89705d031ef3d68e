"""Shows the progress of a full sync by a worker, and its result."""

import asyncio
from datetime import datetime
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from service.cli.output.console import err
from service.errors import TaskbellError
from service.store import Pool

_EVERY = 0.5  # seconds between two queries
_PATIENCE = 30  # seconds in which a worker begins, where there is one


class SyncFailed(TaskbellError):
    """The account could not be read; the message says why."""


async def follow(pool: Pool, account: str, asked_at: datetime) -> None:
    """Show a progress bar until the sync that was requested at that time is finished.

    Raises SyncFailed if it fails, is stopped by a pause, or does not begin.
    """
    before = await _look(pool, account)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    loop = asyncio.get_running_loop()
    idle_since = loop.time()
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task(f"{account}: tasks read", total=None)
        while not _is_done(now := await _look(pool, account), asked_at):
            _give_up(account, before, now)
            idle_since = loop.time() if now["is_read"] else idle_since
            if loop.time() - idle_since > _PATIENCE:
                raise SyncFailed(
                    f"no worker process has started to read {account}; see `taskbell doctor`"
                )
            _show(progress, bar, now)
            await asyncio.sleep(_EVERY)


async def _look(pool: Pool, account: str) -> dict[str, Any]:
    [row] = await pool.fetch(
        """
        SELECT scanned_at, failures, error, paused, scan_read, scan_total,
               lease_until IS NOT NULL AS is_read
        FROM accounts WHERE name = $1
        """,
        account,
    )
    return dict(row)


def _is_done(now: dict[str, Any], asked_at: datetime) -> bool:
    return now["scanned_at"] is not None and now["scanned_at"] >= asked_at


def _give_up(account: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise SyncFailed if the sync has failed since it was requested, or will not run."""
    if now["paused"]:
        raise SyncFailed(f"{account} was paused in the meantime")
    if now["failures"] > before["failures"]:
        raise SyncFailed(f"{now['error']}; Taskbell keeps trying")


def _show(progress: Progress, bar: TaskID, now: dict[str, Any]) -> None:
    if now["scan_read"] is not None:
        total = now["scan_total"] and max(now["scan_total"], now["scan_read"])
        progress.update(bar, completed=now["scan_read"], total=total)
