"""Holds in the database, and the customer messages that wait for their end.

Each message that waits has the id of its hold, so that a release finds the messages of the hold.
A released message passes all gates again, and is checked like any message before it is sent.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from service.domain.actors import Actor
from service.domain.operators.holds import Hold
from service.errors import TaskbellError
from service.outbox import Lanes
from service.store import Connection, Pool
from service.store.operators import changes
from service.store.operators.changes import Action


class NoHold(TaskbellError):
    """No customer messages are on hold by this number."""


async def begin(pool: Pool, hold: Hold, *, by: Actor) -> int:
    """Store a hold and return its new id; `hold.id` is ignored."""
    now = hold.created_at
    async with pool.acquire() as connection, connection.transaction():
        number: int = await connection.fetchval(
            """
            INSERT INTO holds (created_at, ends_at, reason, created_by)
            VALUES ($1, $2, $3, $4) RETURNING id
            """,
            now,
            hold.ends_at,
            hold.reason,
            hold.created_by,
        )
        await changes.record(connection, by, Action.HOLD_BEGUN, number, now, hold.reason)
    return number


async def still_on(connection: Connection, now: datetime) -> list[Hold]:
    """The holds that have not ended by then."""
    rows = await connection.fetch(
        """
        SELECT id, created_at, ends_at, reason, created_by FROM holds
        WHERE ends_at > $1 ORDER BY ends_at, id
        """,
        now,
    )
    return [Hold(**row) for row in rows]


async def read(pool: Pool, now: datetime) -> list[dict[str, Any]]:
    """The holds that are on, each with the number of messages that it holds (`held`)."""
    async with pool.acquire() as connection:
        found = await still_on(connection, now)
        rows = await connection.fetch(
            """
            SELECT hold, count(*) AS held FROM deliveries
            WHERE hold = ANY ($1) AND state = 'held' GROUP BY hold
            """,
            [one.id for one in found],
        )
    held = {row["hold"]: row["held"] for row in rows}
    return [{**asdict(one), "held": held.get(one.id, 0)} for one in found]


async def release(pool: Pool, number: int, *, by: Actor, now: datetime) -> Lanes:
    """End a hold now, and have its messages sent; returns their lanes. Raises NoHold.

    What another hold or closed hours hold after that waits on.
    """
    async with pool.acquire() as connection, connection.transaction():
        ended = await connection.fetchval(
            "UPDATE holds SET ends_at = $2, ended_by = $3 WHERE id = $1 AND ends_at > $2"
            " RETURNING id",
            number,
            now,
            by.name,
        )
        if ended is None:
            raise NoHold("someone has already released these messages")
        rows = await connection.fetch(
            """
            UPDATE deliveries SET next_attempt_at = least(next_attempt_at, $2)
            WHERE hold = $1 AND state = 'held' RETURNING lane
            """,
            number,
            now,
        )
        detail = f"{len(rows)} messages"
        await changes.record(connection, by, Action.HOLD_RELEASED, number, now, detail)
    return frozenset(row["lane"] for row in rows)
