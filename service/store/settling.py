"""Rules that wait until a task has been quiet: since when, and how it looked before."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.model import Event, Task
from service.store import Connection
from service.store.tasks import read_task, task_json


@dataclass(frozen=True, slots=True)
class Settled:
    """A rule whose task has been quiet long enough; `before` is from before the first change."""

    rule: str
    account: str
    task: str
    event: int
    before: Task | None


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


async def take_ended(connection: Connection, now: datetime, limit: int) -> list[Settled]:
    """Take out the waits that have ended."""
    rows = await connection.fetch(
        """
        DELETE FROM settling WHERE (rule, account, task) IN (
            SELECT rule, account, task FROM settling WHERE ends_at <= $1
            ORDER BY ends_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING rule, account, task, event, before
        """,
        now,
        limit,
    )
    return [Settled(row[0], row[1], row[2], row[3], read_task(row[4])) for row in rows]
