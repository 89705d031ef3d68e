"""Deliveries that wait for somebody's word: approved or declined, once, by a person."""

from datetime import datetime

import asyncpg

from service.clock import Clock
from service.model import State
from service.outbox import NoSuchDelivery, NotPossible
from service.outbox.ending import cancel_all
from service.store import Connection, Pool


async def approve(pool: Pool, clock: Clock, delivery: int, *, by: str) -> str:
    """Let a delivery that waits for it go out when its time comes; returns its lane.

    Raises NoSuchDelivery or NotPossible, also where somebody was faster.
    """
    now = clock.now()
    async with pool.acquire() as connection, connection.transaction():
        await _demand_open(connection, delivery, now)
        lane: str = await connection.fetchval(
            """
            UPDATE deliveries SET state = 'planned', approved_by = $2,
                reason = 'approved by ' || $2, next_attempt_at = greatest(send_at, $3)
            WHERE id = $1 RETURNING lane
            """,
            delivery,
            by,
            now,
        )
        return lane


async def decline(pool: Pool, clock: Clock, delivery: int, *, by: str) -> None:
    """Have a delivery that waits for approval not go out; raises as `approve`."""
    now = clock.now()
    async with pool.acquire() as connection, connection.transaction():
        await _demand_open(connection, delivery, now)
        await cancel_all(connection, [delivery], f"declined by {by}", now)


async def read(pool: Pool, delivery: int) -> asyncpg.Record | None:
    """What a person has to know to decide about a delivery that needs approval, or needed it."""
    return await pool.fetchrow(
        """
        SELECT deliveries.id, deliveries.account, deliveries.task, rule,
               channel, target, text, subject, fields,
               state, reason, approver, approve_by, approved_by, send_at, settled_at, key::text,
               coalesce(events.after, events.before) ->> 'title' AS title,
               coalesce(events.after, events.before) #>> '{customer,name}' AS customer
        FROM deliveries JOIN events ON events.id = event
        WHERE deliveries.id = $1 AND approver IS NOT NULL
        """,
        delivery,
    )


async def _demand_open(connection: Connection, delivery: int, now: datetime) -> None:
    """Lock a delivery that still waits for its approval, or say what has become of it."""
    row = await connection.fetchrow(
        "SELECT state, reason, approver, approve_by, approved_by FROM deliveries"
        " WHERE id = $1 FOR UPDATE",
        delivery,
    )
    if row is None:
        raise NoSuchDelivery(f"there is no delivery {delivery}")
    if (refusal := _refusal(row, now)) is not None:
        raise NotPossible(f"delivery {delivery} {refusal}")


def _refusal(row: asyncpg.Record, now: datetime) -> str | None:
    if row["approver"] is None:
        return "needs no approval"
    if row["approved_by"] is not None:
        return f"was approved before, by {row['approved_by']}"
    if row["state"] != State.HELD:
        return f"cannot be approved or declined any more: it is {row['state']} ({row['reason']})"
    if row["approve_by"] <= now:
        return "cannot be approved or declined any more: its time is over"
    return None
