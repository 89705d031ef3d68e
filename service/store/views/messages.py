"""Everything about a single message, which is a delivery, and the event behind it."""

from collections.abc import Sequence

import asyncpg

from service.domain.model import Event, Task
from service.store import Pool
from service.store.deliveries import ON_HOLD, TAKEN_BACK
from service.store.events import event_from
from service.store.tasks import read_task

_MESSAGE = f"""
    SELECT deliveries.id, deliveries.account, deliveries.task, deliveries.rule, channel, target,
           state, {TAKEN_BACK} AS taken_back, deliveries.reason, attempts, text, subject,
           fields::text AS fields, updates, approves, shadow, approver, approve_by, approved_by,
           send_at, deliveries.created_at, next_attempt_at, expires_at, settled_at,
           acknowledged_at,
           coalesce(acknowledged_at, settled_at, deliveries.created_at) AS ended_at,
           withdraw_on <> '{{}}' AND updates IS NULL AS may_be_withdrawn,
           {ON_HOLD} AS on_hold,
           tells_of IS NOT NULL AS is_customer_digest,
           state = 'held' AND storm IS NULL AND approver IS NOT NULL AND approved_by IS NULL
               AS asks,
           storms.reason AS storm_reason, hold IS NOT NULL AS is_paused, receipt ->> 'task' AS made,
           coalesce(substring(lane FROM '^writes:(.*)$'), deliveries.account) AS made_in,
           events.kind, events.cause,
           coalesce(events.after, events.before) ->> 'title' AS title,
           coalesce(events.after, events.before) #>> '{{customer,name}}' AS customer
    FROM deliveries LEFT JOIN events ON events.id = event LEFT JOIN storms ON storms.id = storm
"""


async def read(pool: Pool, number: int) -> asyncpg.Record | None:
    """Everything about a message; None if there is none of this number."""
    return await pool.fetchrow(f"{_MESSAGE} WHERE deliveries.id = $1", number)


async def account_of(pool: Pool, number: int) -> str | None:
    """The account of a message; None if there is none of this number."""
    account: str | None = await pool.fetchval(
        "SELECT account FROM deliveries WHERE id = $1", number
    )
    return account


async def read_event(pool: Pool, number: int) -> Event | None:
    """The event behind a message, if there is one."""
    row = await pool.fetchrow(
        """
        SELECT events.id AS event, events.account, events.task, kind, at, cause, changed, alarm,
               signal, before, after
        FROM deliveries JOIN events ON events.id = event WHERE deliveries.id = $1
        """,
        number,
    )
    if row is None:
        return None
    return event_from(row, read_task(row["before"]), read_task(row["after"]))


async def tasks_of(pool: Pool, numbers: Sequence[int]) -> dict[int, Task | None]:
    """The task that each of these messages is about, as it was then; by the message's number."""
    rows = await pool.fetch(
        """
        SELECT deliveries.id, coalesce(after, before) AS task
        FROM deliveries JOIN events ON events.id = event WHERE deliveries.id = ANY ($1)
        """,
        numbers,
    )
    return {row["id"]: read_task(row["task"]) for row in rows}


async def receivers(pool: Pool, numbers: Sequence[int]) -> list[asyncpg.Record]:
    """To whom these messages go."""
    return await pool.fetch(
        """
        SELECT id, channel, target, tells_of IS NOT NULL AS is_customer_digest
        FROM deliveries WHERE id = ANY ($1)
        """,
        numbers,
    )


async def beside(pool: Pool, number: int, limit: int) -> list[asyncpg.Record]:
    """The other messages because of the same event, in the order in which they were planned."""
    return await pool.fetch(
        """
        SELECT id, rule, channel, target, state, shadow FROM deliveries
        WHERE event = (SELECT event FROM deliveries WHERE id = $1) AND id <> $1
        ORDER BY id LIMIT $2
        """,
        number,
        limit,
    )


async def attempts(pool: Pool, number: int, limit: int) -> list[asyncpg.Record]:
    """The last attempts of a message, in their order; `took_ms` is in milliseconds."""
    return await pool.fetch(
        """
        SELECT * FROM (
            SELECT number, began_at, took_ms, outcome, status, error FROM attempts
            WHERE delivery = $1 ORDER BY number DESC LIMIT $2) AS latest
        ORDER BY number
        """,
        number,
        limit,
    )
