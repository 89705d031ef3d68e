"""The waits of rules with `settle` or `for`: their start, event and end."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from service.domain.model import Event
from service.store import Connection
from service.store.events import event_from
from service.store.tasks import Key, read_task, task_json


@dataclass(frozen=True, slots=True)
class Wait:
    """A rule that waits because of an event, or has waited.

    The event has the task as it was `before`, but not `after`.
    """

    rule: str
    first: Event

    @property
    def key(self) -> Key:
        return self.first.account, self.first.task_id


_WAITS = """
    SELECT found.rule, found.account, found.task, found.event, found.before,
           kind, at, cause, changed, alarm, signal
    FROM found JOIN events ON events.id = found.event ORDER BY found.event, found.rule
"""


class PostgresWaits:
    """`WaitRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def start(
        self,
        rule: str,
        event: Event,
        now: datetime,
        quiet: timedelta,
        most: timedelta,
    ) -> None:
        await self._connection.execute(
            """
            INSERT INTO waits (rule, account, task, event, before, started_at, ends_at)
            VALUES ($1, $2, $3, $4, $5, $6::timestamptz, $6::timestamptz + $7)
            ON CONFLICT (rule, account, task) DO UPDATE
            SET ends_at = least(waits.started_at + $8, excluded.ends_at)
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

    async def over(self, accounts: Iterable[str], now: datetime, limit: int) -> list[Key]:
        rows = await self._connection.fetch(
            """
            SELECT account, task FROM waits WHERE ends_at <= $1 AND account = ANY ($3)
            ORDER BY ends_at LIMIT $2
            """,
            now,
            limit,
            list(accounts),
        )
        return list(dict.fromkeys((row["account"], row["task"]) for row in rows))

    async def take(self, keys: Sequence[Key], now: datetime) -> list[Wait]:
        rows = await self._connection.fetch(
            f"""
            WITH found AS (
                DELETE FROM waits USING unnest($1::text[], $2::text[]) AS wanted (account, task)
                WHERE waits.account = wanted.account AND waits.task = wanted.task
                  AND ends_at <= $3
                RETURNING waits.*)
            {_WAITS}
            """,
            [account for account, _ in keys],
            [task for _, task in keys],
            now,
        )
        return [_wait(row) for row in rows]

    async def about(self, keys: Iterable[Key], rules: Container[str]) -> list[Wait]:
        wanted = list(keys)
        rows = await self._connection.fetch(
            f"""
            WITH found AS (
                SELECT waits.* FROM waits
                JOIN unnest($1::text[], $2::text[]) AS wanted (account, task) USING (account, task))
            {_WAITS}
            """,
            [account for account, _ in wanted],
            [task for _, task in wanted],
        )
        # Not asked for by their names: few rules wait about one task, but there may be thousands.
        return [_wait(row) for row in rows if row["rule"] in rules]

    async def stop(self, waits: Sequence[Wait]) -> None:
        await self._connection.execute(
            """
            DELETE FROM waits USING unnest($1::text[], $2::text[], $3::text[])
              AS ended (rule, account, task)
            WHERE waits.rule = ended.rule AND waits.account = ended.account
              AND waits.task = ended.task
            """,
            [one.rule for one in waits],
            [one.first.account for one in waits],
            [one.first.task_id for one in waits],
        )


async def under_way(
    connection: Connection, until: datetime
) -> list[tuple[Wait, datetime, datetime]]:
    """Every wait that ends by then: the wait, when it began, when it ends (UTC)."""
    rows = await connection.fetch(
        """
        SELECT rule, waits.account, waits.task, event, waits.before, started_at, ends_at,
               kind, at, cause, changed, alarm, signal
        FROM waits JOIN events ON events.id = event WHERE ends_at <= $1
        """,
        until,
    )
    return [(_wait(row), row["started_at"], row["ends_at"]) for row in rows]


def _wait(row: asyncpg.Record) -> Wait:
    return Wait(row["rule"], event_from(row, read_task(row["before"]), None))
