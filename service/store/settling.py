"""Rules that wait until a task has been quiet: since when, and how it looked before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.model import Event, Task
from service.store import Connection
from service.store.tasks import Key, read_task, task_json


@dataclass(frozen=True, slots=True)
class Settled:
    """A rule whose task has been quiet long enough.

    `before` is how it looked before the first change; `event` and `cause` are of that.
    """

    rule: str
    account: str
    task: str
    event: int
    before: Task | None
    cause: str


async def start(
    connection: Connection,
    rule: str,
    event: Event,
    now: datetime,
    quiet: timedelta,
    most: timedelta,
) -> None:
    """Wait for `quiet` from now; a change in the meantime starts again, up to `most` in all."""
    await connection.execute(
        """
        INSERT INTO settling (rule, account, task, event, before, started_at, ends_at)
        VALUES ($1, $2, $3, $4, $5, $6::timestamptz, $6::timestamptz + $7)
        ON CONFLICT (rule, account, task) DO UPDATE
        SET ends_at = least(settling.started_at + $8, excluded.ends_at)
        """,
        rule,
        event.account,
        event.task_id,
        event.id,
        task_json(event.before),
        now,
        quiet,
        most,
    )


async def ended(
    connection: Connection, accounts: Iterable[str], now: datetime, limit: int
) -> list[Key]:
    """The tasks (account, id) of these accounts that rules have waited for long enough."""
    rows = await connection.fetch(
        """
        SELECT account, task FROM settling WHERE ends_at <= $1 AND account = ANY ($3)
        ORDER BY ends_at LIMIT $2
        """,
        now,
        limit,
        list(accounts),
    )
    return [(row["account"], row["task"]) for row in rows]


async def take(connection: Connection, keys: Sequence[Key], now: datetime) -> list[Settled]:
    """Take out the waits about these tasks, which must be locked, that have ended."""
    rows = await connection.fetch(
        """
        WITH taken AS (
            DELETE FROM settling USING unnest($1::text[], $2::text[]) AS wanted (account, task)
            WHERE settling.account = wanted.account AND settling.task = wanted.task
              AND ends_at <= $3
            RETURNING settling.*)
        SELECT taken.rule, taken.account, taken.task, taken.event, taken.before, events.cause
        FROM taken JOIN events ON events.id = taken.event ORDER BY taken.event, taken.rule
        """,
        [account for account, _ in keys],
        [task for _, task in keys],
        now,
    )
    return [
        Settled(
            rule=row["rule"],
            account=row["account"],
            task=row["task"],
            event=row["event"],
            before=read_task(row["before"]),
            cause=row["cause"],
        )
        for row in rows
    ]
