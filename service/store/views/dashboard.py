"""Queries for the operator page."""

from collections.abc import Sequence

import asyncpg

from service.store import Pool
from service.store.deliveries import IN_STORM, ON_HOLD, TAKEN_BACK

_LONGEST = 2_000
_ENDED_AT = "coalesce(acknowledged_at, settled_at, created_at)"
# No more of a text than a page has room for.
_DELIVERY = f"""
    SELECT deliveries.id, deliveries.task, deliveries.account, rule, channel, target, state,
           {TAKEN_BACK} AS taken_back, left(reason, {_LONGEST}) AS reason, attempts,
           left(text, {_LONGEST}) AS text, left(subject, {_LONGEST}) AS subject, created_at,
           next_attempt_at,
           {_ENDED_AT} AS ended_at,
           withdraw_on <> '{{}}' AND updates IS NULL AS may_be_withdrawn,
           {ON_HOLD} AS on_hold,
           tells_of IS NOT NULL AS is_customer_digest,
           state = 'held' AND storm IS NULL AND approver IS NOT NULL AND approved_by IS NULL
               AS asks,
           events.kind, events.cause,
           coalesce(events.after, events.before) ->> 'title' AS title,
           coalesce(events.after, events.before) #>> '{{customer,name}}' AS customer
    FROM deliveries LEFT JOIN events ON events.id = event
"""


async def failed_deliveries(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """Deliveries that failed or have an unknown outcome, and were not acknowledged.

    Newest first.
    """
    return await pool.fetch(
        f"{_DELIVERY} WHERE state IN ('failed', 'unknown') AND acknowledged_at IS NULL"
        " ORDER BY deliveries.id DESC LIMIT $1",
        limit,
    )


async def waiting(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """Deliveries that will be sent without further action when they are due, the next first."""
    return await pool.fetch(
        f"{_DELIVERY} WHERE state = 'planned' OR state = 'held' AND NOT {IN_STORM}"
        " AND (approver IS NULL OR approved_by IS NOT NULL)"
        " ORDER BY next_attempt_at, deliveries.id LIMIT $1",
        limit,
    )


async def asking(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """Deliveries that need approval; those that expire first on top."""
    return await pool.fetch(
        f"{_DELIVERY} WHERE state = 'held' AND storm IS NULL"
        " AND approver IS NOT NULL AND approved_by IS NULL"
        " ORDER BY next_attempt_at, deliveries.id LIMIT $1",
        limit,
    )


async def held(pool: Pool, storm: int, limit: int) -> list[asyncpg.Record]:
    """Deliveries that this storm holds, in the order in which they were planned."""
    return await pool.fetch(
        f"{_DELIVERY} WHERE state = 'held' AND storm = $1 ORDER BY deliveries.id LIMIT $2",
        storm,
        limit,
    )


async def lately(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """Deliveries that were recently sent or ended otherwise, with the reason; the newest first.

    A delivery that was held overnight has an old number and a late end, so more rows are read than
    are shown.
    """
    return await pool.fetch(
        f"""
        {_DELIVERY} WHERE deliveries.id = ANY (ARRAY(
            SELECT id FROM (
                SELECT id, {_ENDED_AT} AS ended_at FROM deliveries
                WHERE state IN ('sent', 'skipped', 'cancelled', 'expired', 'sending')
                   OR acknowledged_at IS NOT NULL
                ORDER BY id DESC LIMIT $1 * 20) AS last
            ORDER BY ended_at DESC, id DESC LIMIT $1))
        ORDER BY ended_at DESC, deliveries.id DESC
        """,
        limit,
    )


async def numbered(pool: Pool, numbers: list[int]) -> list[asyncpg.Record]:
    """The deliveries of these numbers, in this order."""
    return await pool.fetch(
        f"{_DELIVERY} WHERE deliveries.id = ANY ($1) ORDER BY array_position($1, deliveries.id)",
        numbers,
    )


async def last_events(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """The latest events, newest first; an alarm that fired late may have a recent number."""
    return await pool.fetch(
        """
        SELECT id, account, task, kind, at, cause, signal, alarm,
               coalesce(after, before) ->> 'title' AS title,
               coalesce(after, before) #>> '{customer,name}' AS customer
        FROM events ORDER BY at DESC, id DESC LIMIT $1
        """,
        limit,
    )


async def of_numbers(pool: Pool, numbers: Sequence[int]) -> list[asyncpg.Record]:
    """These deliveries, the newest first."""
    return await pool.fetch(
        f"{_DELIVERY} WHERE deliveries.id = ANY ($1) ORDER BY deliveries.id DESC", numbers
    )
