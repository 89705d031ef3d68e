"""What the operator page shows: the few things a person wants to know, each with its cause."""

import asyncpg

from service.store import Pool
from service.store.views.taken_back import TAKEN_BACK

_LONGEST = 2_000
# No more of a text than a page has room for.
_DELIVERY = f"""
    SELECT deliveries.id, deliveries.task, deliveries.account, rule, channel, target, state,
           {TAKEN_BACK} AS taken_back, left(reason, {_LONGEST}) AS reason, attempts,
           left(text, {_LONGEST}) AS text, left(subject, {_LONGEST}) AS subject, created_at,
           next_attempt_at,
           coalesce(acknowledged_at, settled_at, created_at) AS ended_at,
           withdraw_on <> '{{}}' AND updates IS NULL AS may_be_withdrawn,
           events.kind, events.cause,
           coalesce(events.after, events.before) ->> 'title' AS title,
           coalesce(events.after, events.before) #>> '{{customer,name}}' AS customer
    FROM deliveries LEFT JOIN events ON events.id = event
"""


async def failed_deliveries(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """Deliveries that failed or of which nobody knows, and that nobody has left as they are.

    The newest first.
    """
    return await pool.fetch(
        f"{_DELIVERY} WHERE state IN ('failed', 'unknown') AND acknowledged_at IS NULL"
        " ORDER BY deliveries.id DESC LIMIT $1",
        limit,
    )


async def waiting(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """Deliveries that go out by themselves when their time has come, the next first."""
    return await pool.fetch(
        f"{_DELIVERY} WHERE state = 'planned' OR state = 'held' AND storm IS NULL"
        " AND (approver IS NULL OR approved_by IS NOT NULL)"
        " ORDER BY next_attempt_at, deliveries.id LIMIT $1",
        limit,
    )


async def asking(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """Deliveries that only go out if somebody approves them; those with the least time first."""
    return await pool.fetch(
        f"{_DELIVERY} WHERE state = 'held' AND storm IS NULL"
        " AND approver IS NOT NULL AND approved_by IS NULL"
        " ORDER BY next_attempt_at, deliveries.id LIMIT $1",
        limit,
    )


async def held(pool: Pool, storm: int, limit: int) -> list[asyncpg.Record]:
    """Deliveries that this storm holds, in the order in which they came."""
    return await pool.fetch(
        f"{_DELIVERY} WHERE state = 'held' AND storm = $1 ORDER BY deliveries.id LIMIT $2",
        storm,
        limit,
    )


async def lately(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """Deliveries that went out or were let go, with the reason; the latest to end first.

    What was held back overnight has an old number and a late end, so more are looked through
    than are shown.
    """
    return await pool.fetch(
        f"""
        SELECT * FROM (
            {_DELIVERY} WHERE state IN ('sent', 'skipped', 'cancelled', 'expired', 'sending')
                OR acknowledged_at IS NOT NULL
            ORDER BY deliveries.id DESC LIMIT $1 * 20) AS last
        ORDER BY ended_at DESC, id DESC LIMIT $1
        """,
        limit,
    )


async def last_events(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """What happened to tasks, the latest first; an old alarm may have got a late number."""
    return await pool.fetch(
        """
        SELECT id, account, task, kind, at, cause, signal, alarm,
               coalesce(after, before) ->> 'title' AS title,
               coalesce(after, before) #>> '{customer,name}' AS customer
        FROM events ORDER BY at DESC, id DESC LIMIT $1
        """,
        limit,
    )
