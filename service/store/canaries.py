"""Canaries: known tasks that show whether a system's answer "no such task" can be trusted.

A token that has lost its rights sees nothing, and the system then reports every task as missing. So
for each account a few tasks of the last complete scan are stored: while none of them is visible, no
deletion is accepted.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from service.store import Connection, Pool

# In the error of an account whose list shows no known task, which only a person can confirm.
ALL_MISSING = "expected tasks are missing from the list"


async def keep(
    connection: Connection, account: str, shown: Sequence[str], *, is_asking: bool
) -> bool:
    """Store the canaries; False if the system shows none and no deletions were confirmed.

    An operator's confirmation that missing tasks are deleted holds until a scan finds no missing
    task and none is being read by id.
    """
    believed: bool = await connection.fetchval(
        """
        UPDATE accounts SET canaries = $2, believed = believed AND ($3 OR EXISTS (
            SELECT FROM lookups JOIN tasks ON tasks.account = $1 AND tasks.id = lookups.task
            WHERE lookups.account = $1 AND cause = 'fetch'
              AND (absent_at IS NOT NULL OR unlisted_at IS NOT NULL)))
        WHERE name = $1 RETURNING believed
        """,
        account,
        shown,
        is_asking,
    )
    return bool(shown) or believed


async def believe(connection: Connection | Pool, account: str) -> None:
    """Accept all missing tasks as deleted."""
    await connection.execute(
        """
        WITH believing AS (
            UPDATE accounts SET canaries = '{}', believed = true WHERE name = $1)
        UPDATE lookups SET next_attempt_at = asked_at
        WHERE account = $1 AND absent_at IS NOT NULL
        """,
        account,
    )


async def others(connection: Connection, account: str, gone: Collection[str]) -> list[str]:
    """The account's canaries, without those that are reported as `gone` or known to be."""
    rows = await connection.fetch(
        """
        SELECT id FROM tasks
        WHERE account = $1 AND deleted_at IS NULL AND id <> ALL ($2::text[])
          AND id = ANY (SELECT unnest(canaries) FROM accounts WHERE name = $1)
        ORDER BY id
        """,
        account,
        gone,
    )
    return [row["id"] for row in rows]


async def known(connection: Connection, account: str, before: datetime, limit: int) -> list[str]:
    """Existing tasks that were known before that time, the last changed ones first."""
    rows = await connection.fetch(
        """
        SELECT id FROM tasks
        WHERE account = $1 AND deleted_at IS NULL AND observed_at < $2
        ORDER BY observed_at DESC, id LIMIT $3
        """,
        account,
        before,
        limit,
    )
    return [row["id"] for row in rows]


async def known_among(
    connection: Connection, account: str, ids: Sequence[str], before: datetime, limit: int
) -> list[str]:
    """Those of these tasks that exist and were known before that time, in any order."""
    rows = await connection.fetch(
        """
        SELECT id FROM tasks
        WHERE account = $1 AND id = ANY ($2) AND deleted_at IS NULL AND observed_at < $3 LIMIT $4
        """,
        account,
        ids,
        before,
        limit,
    )
    return [row["id"] for row in rows]


async def renew(pool: Pool, account: str, now: datetime) -> None:
    """Request a full scan, which selects new canaries; a failing account gets one anyway."""
    await pool.execute(
        """
        UPDATE accounts SET next_poll_at = $2, scan_asked_at = $2
        WHERE name = $1 AND failing_since IS NULL
        """,
        account,
        now,
    )
