"""Tasks by which to tell whether a system that says "there is no such task" can be believed.

A token that has lost its rights sees nothing, and of every task the system then says that there
is none. So a few that the last complete scan listed are remembered for each account, as miners
kept canaries: while none of them is shown, nothing is taken for deleted.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from service.store import Connection, Pool


async def keep(
    connection: Connection, account: str, shown: Sequence[str], *, is_asking: bool
) -> bool:
    """Remember tasks that the system shows; False if none is shown and nobody has said why.

    A person's word that what is not shown is gone holds until a scan need not ask for any task,
    and none is being asked for.
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


async def believe(pool: Pool, account: str) -> None:
    """Take the system's word for what it does not show any more."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE accounts SET canaries = '{}', believed = true WHERE name = $1", account
        )
        await connection.execute(
            """
            UPDATE lookups SET next_attempt_at = asked_at
            WHERE account = $1 AND absent_at IS NOT NULL
            """,
            account,
        )


async def others(connection: Connection, account: str, gone: Collection[str]) -> list[str]:
    """The account's canaries, without those that are said to be `gone` or are known to be."""
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
    """Tasks that were known before that moment and are not gone, those that changed last first."""
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
    """Those of these tasks that were known before that moment and are not gone, in any order."""
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
    """Ask for a full scan, which chooses others; a failing account is scanned anyway."""
    await pool.execute(
        """
        UPDATE accounts SET next_poll_at = $2, scan_asked_at = $2
        WHERE name = $1 AND failing_since IS NULL
        """,
        account,
        now,
    )
