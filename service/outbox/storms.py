"""The storm guard: too many customer messages at once are held until a person decides.

Each held delivery keeps the id of its storm, so that it is held and counted only once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from service.clock import Clock
from service.errors import TaskbellError
from service.outbox import holding
from service.outbox.holding import may_be_held
from service.store import Connection, Pool
from service.storm import LOOK_BACK, Lately, StormGuard, usual_of


class NoStorm(TaskbellError):
    """Nothing is held there by the storm guard."""


async def hold_claimed(
    connection: Connection, claimed: Sequence[asyncpg.Record], guard: StormGuard, now: datetime
) -> frozenset[int]:
    """If there is a storm, hold the customer messages just claimed and all that are due.

    Returns the ids of the claimed ones. The database is asked only if a customer message was
    claimed. One process at a time counts the messages of an account, or each would find only some.
    """
    candidates = [row for row in claimed if _is_guarded(row)]
    if not candidates:
        return frozenset()
    account = candidates[0]["account"]
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 8))", account)
    storm = await _open(connection, account) or await _rise(connection, account, guard, now)
    if storm is None:
        return frozenset()
    ids = [row["id"] for row in candidates]
    await _hold(connection, storm, ids, now)
    return frozenset(ids)


def _is_guarded(row: asyncpg.Record) -> bool:
    return row["channel"] == "customer" and row["storm"] is None and may_be_held(row)


async def _open(connection: Connection, account: str) -> asyncpg.Record | None:
    return await connection.fetchrow(
        "SELECT id, account, reason FROM storms WHERE account = $1 AND ended_at IS NULL", account
    )


async def _rise(
    connection: Connection, account: str, guard: StormGuard, now: datetime
) -> asyncpg.Record | None:
    """Open a storm and return it, if there are too many messages; None otherwise."""
    count = await _count(connection, account, guard, now)
    usual = None
    if guard.is_unusual(count):
        usual = await _usual(connection, account, guard, now)
    reason = guard.refusal(count, usual)
    if reason is None:
        return None
    return await connection.fetchrow(
        "INSERT INTO storms (account, reason, began_at) VALUES ($1, $2, $3)"
        " RETURNING id, account, reason",
        account,
        reason,
        now,
    )


async def _count(connection: Connection, account: str, guard: StormGuard, now: datetime) -> int:
    """How many customer messages went out lately, are being sent, or are due.

    Messages that went out before somebody decided about the last storm do not count.
    """
    count: int = await connection.fetchval(
        """
        SELECT (SELECT count(*) FROM deliveries
                WHERE account = $1 AND channel = 'customer' AND state IN ('sent', 'unknown')
                  AND storm IS NULL AND settled_at > $2 AND settled_at > coalesce(
                    (SELECT max(ended_at) FROM storms WHERE account = $1), '-infinity'))
             + (SELECT count(*) FROM deliveries
                WHERE lane = 'account:' || $1 AND channel = 'customer' AND state = 'sending'
                  AND storm IS NULL)
             + (SELECT count(*) FROM deliveries
                WHERE lane = 'account:' || $1 AND channel = 'customer'
                  AND state IN ('planned', 'held') AND storm IS NULL AND next_attempt_at <= $3
                  AND NOT shadow)
        """,
        account,
        now - guard.within,
        now,
    )
    return count


async def _usual(
    connection: Connection, account: str, guard: StormGuard, now: datetime
) -> float | None:
    row = await connection.fetchrow(
        """
        SELECT count(*) AS messages,
               count(DISTINCT floor(extract(epoch FROM settled_at) / $4)) AS spans
        FROM deliveries
        WHERE account = $1 AND channel = 'customer' AND state IN ('sent', 'unknown')
          AND settled_at > $2 AND settled_at <= $3
        """,
        account,
        now - LOOK_BACK,
        now - guard.within,
        guard.within.total_seconds(),
    )
    return None if row is None else usual_of(row["messages"], row["spans"])


async def _hold(
    connection: Connection, storm: asyncpg.Record, claimed: Sequence[int], now: datetime
) -> None:
    """Mark deliveries as held by a storm. Until somebody decides, they can only expire."""
    held = await connection.fetch(
        """
        UPDATE deliveries SET state = 'held', storm = $1, reason = $2, lease_until = NULL,
            next_attempt_at = expires_at, attempts = attempts - (state = 'sending')::int
        WHERE id = ANY ($3) OR id IN (
            SELECT id FROM deliveries
            WHERE lane = 'account:' || $4 AND channel = 'customer' AND storm IS NULL
              AND state IN ('planned', 'held') AND next_attempt_at <= $5
              AND (approver IS NULL OR approved_by IS NOT NULL) AND NOT shadow
            FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        storm["id"],
        storm["reason"],
        claimed,
        storm["account"],
        now,
    )
    await holding.end_with_task(connection, [row["id"] for row in held])


async def lately(connection: Connection, now: datetime) -> Lately:
    """What a rehearsal that begins now has to know: open storms, and what has gone out."""
    open_ = await connection.fetch("SELECT account, reason FROM storms WHERE ended_at IS NULL")
    sent = await connection.fetch(
        """
        SELECT account, settled_at FROM deliveries
        WHERE channel = 'customer' AND state IN ('sent', 'unknown') AND storm IS NULL
          AND settled_at > $1 AND settled_at > coalesce(
            (SELECT max(ended_at) FROM storms WHERE storms.account = deliveries.account),
            '-infinity')
        ORDER BY settled_at
        """,
        now - LOOK_BACK,
    )
    reasons = {row["account"]: row["reason"] for row in open_}
    return Lately(reasons, [(row["account"], row["settled_at"]) for row in sent])


async def read(pool: Pool) -> list[dict[str, Any]]:
    """The storms that nobody has decided about, with how many messages each holds."""
    rows = await pool.fetch(
        """
        SELECT id, account, reason, began_at,
               (SELECT count(*) FROM deliveries WHERE storm = storms.id AND state = 'held') AS held
        FROM storms WHERE ended_at IS NULL ORDER BY id
        """
    )
    return [dict(row) for row in rows]


async def open_in(pool: Pool, account: str) -> int:
    """The number of the storm in this account; raises NoStorm."""
    number: int | None = await pool.fetchval(
        "SELECT id FROM storms WHERE account = $1 AND ended_at IS NULL", account
    )
    if number is None:
        raise NoStorm(f"the storm guard holds nothing of {account}")
    return number


async def release(pool: Pool, clock: Clock, storm: int, *, by: str) -> tuple[str, int]:
    """Release what a storm holds; returns the lane, and how many. Raises NoStorm."""
    return await _end(
        pool,
        """
        UPDATE deliveries SET state = 'planned', reason = 'let go by ' || $2, next_attempt_at = $3
        WHERE storm = $1 AND state = 'held' RETURNING id
        """,
        storm,
        by,
        clock.now(),
    )


async def drop(pool: Pool, clock: Clock, storm: int, *, by: str) -> tuple[str, int]:
    """Cancel what a storm holds; the lane, and how many. Raises NoStorm."""
    return await _end(
        pool,
        """
        UPDATE deliveries SET state = 'cancelled', reason = 'dropped by ' || $2 || '; ' || reason,
            next_attempt_at = NULL, settled_at = $3
        WHERE storm = $1 AND state = 'held' RETURNING id
        """,
        storm,
        by,
        clock.now(),
    )


async def _end(pool: Pool, statement: str, storm: int, by: str, now: datetime) -> tuple[str, int]:
    async with pool.acquire() as connection, connection.transaction():
        account = await connection.fetchval(
            "UPDATE storms SET ended_at = $2, ended_by = $3"
            " WHERE id = $1 AND ended_at IS NULL RETURNING account",
            storm,
            now,
            by,
        )
        if account is None:
            raise NoStorm("somebody has decided about these messages before, or there are none")
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 8))", account)
        ended = await connection.fetch(statement, storm, by, now)
    return f"account:{account}", len(ended)
