"""How the ways in and out are: calls left, webhooks that were not read, messages that fail."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from service.store import Pool

MOST = 1_000  # rows that are counted; more are not told apart
_LONGEST = 500  # characters of a reason
LATELY = timedelta(days=7)


async def rate_limits(pool: Pool) -> dict[str, dict[str, Any]]:
    """Of each account that was called, `next_call_at` and `refused_until` of its throttle.

    `next_call_at` is when an empty bucket would have its next token; calls are refused until
    `refused_until`, if that is in the future.
    """
    rows = await pool.fetch("SELECT account, next_call_at, refused_until FROM rate_limits")
    return {row["account"]: dict(row) for row in rows}


async def unread_webhooks(pool: Pool, accounts: Sequence[str]) -> dict[str, int]:
    """Of each account how many webhooks could not be read and ask for a decision; MOST at most."""
    rows = await pool.fetch(
        """
        SELECT name, count FROM unnest($1::text[]) AS wanted (name), LATERAL (
            SELECT count(*) AS count FROM (
                SELECT FROM receipts
                WHERE account = name AND state = 'poison' AND acknowledged_at IS NULL
                LIMIT $2) AS unread) AS counted
        """,
        list(accounts),
        MOST,
    )
    return {row["name"]: row["count"] for row in rows}


async def failed(pool: Pool, since: datetime) -> dict[str, dict[str, Any]]:
    """By lane: how many of the last deliveries failed or may have arrived, and ask for a decision.

    The `reason` is that of the latest, which was settled `at` then. Only the last MOST are looked
    through, and those before `since` do not count.
    """
    rows = await pool.fetch(
        """
        SELECT lane, count(*) AS count, max(settled_at) AS at,
               (array_agg(reason ORDER BY id DESC))[1] AS reason
        FROM (SELECT id, lane, settled_at, left(reason, $3) AS reason FROM deliveries
              WHERE state IN ('failed', 'unknown') AND acknowledged_at IS NULL
              ORDER BY id DESC LIMIT $2) AS newest
        WHERE settled_at >= $1 OR settled_at IS NULL GROUP BY lane
        """,
        since,
        MOST,
        _LONGEST,
    )
    return {row["lane"]: dict(row) for row in rows}


async def tried_again(pool: Pool, lanes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By lane: how many deliveries wait after an attempt that failed; the next of them.

    Only the MOST of each lane are looked through that are due first.
    """
    rows = await pool.fetch(
        """
        SELECT name AS lane, again.* FROM unnest($1::text[]) AS wanted (name), LATERAL (
            SELECT count(*) AS count, min(next_attempt_at) AS at,
                   (array_agg(reason ORDER BY next_attempt_at))[1] AS reason
            FROM (SELECT attempts, next_attempt_at, left(reason, $3) AS reason FROM deliveries
                  WHERE lane = name AND state IN ('planned', 'held')
                  ORDER BY next_attempt_at LIMIT $2) AS first
            WHERE attempts > 0) AS again
        WHERE again.count > 0
        """,
        list(lanes),
        MOST,
        _LONGEST,
    )
    return {row["lane"]: dict(row) for row in rows}
