"""The storm guard: too many messages at once are held until a person decides.

Each held delivery keeps the id of its storm, so that it is held and counted only once.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg

from service.clock import Clock
from service.errors import TaskbellError
from service.outbox import Lanes, holding
from service.outbox.holding import may_be_held
from service.store import Connection, Pool
from service.storm import LOOK_BACK, Flood, Lately, StormGuard, usual_of

Ended: TypeAlias = tuple[Lanes, int]
"""The lanes of the messages that a storm has held, and how many these were."""


class NoStorm(TaskbellError):
    """Nothing is held there by the storm guard."""


async def hold_claimed(
    connection: Connection, claimed: Sequence[asyncpg.Record], guard: StormGuard, now: datetime
) -> frozenset[int]:
    """Where there is a storm, hold those just claimed that belong to it and all that are due.

    Returns the ids of the claimed ones. The database is asked only if something was claimed that
    reaches people. One process at a time counts the customer messages of an account, or each would
    find only some.
    """
    floods: dict[str, list[int]] = defaultdict(list)
    for row in claimed:
        if _is_guarded(row):
            floods[row["flood"]].append(row["id"])
    if not floods:
        return frozenset()
    await _lock(connection, [key for key in floods if Flood.from_key(key).is_of_customers])
    held: list[int] = []
    for found in await _counted(connection, list(floods), guard, now):
        storm = found if found["id"] is not None else await _rise(connection, found, guard, now)
        if storm is not None:
            await _hold(connection, storm, floods[storm["flood"]], now)
            held += floods[storm["flood"]]
    return frozenset(held)


def _is_guarded(row: asyncpg.Record) -> bool:
    return row["flood"] is not None and row["storm"] is None and may_be_held(row)


async def _lock(connection: Connection, floods: Sequence[str]) -> None:
    if floods:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(flood, 8))"
            " FROM (SELECT unnest($1::text[]) AS flood ORDER BY 1) AS floods",
            floods,
        )


async def _counted(
    connection: Connection, floods: Sequence[str], guard: StormGuard, now: datetime
) -> list[asyncpg.Record]:
    """The open storm of each flood, if there is one, and how many messages it has.

    That is how many went out lately, are being sent, or are due. Messages that went out before
    somebody decided about the last storm do not count.
    """
    return await connection.fetch(
        """
        SELECT mine.flood, storms.id, storms.reason,
            (SELECT count(*) FROM deliveries
             WHERE flood = mine.flood AND storm IS NULL AND state IN ('sent', 'unknown')
               AND settled_at > greatest($2::timestamptz, (
                 SELECT max(ended_at) FROM storms WHERE storms.flood = mine.flood)))
            + (SELECT count(*) FROM deliveries
               WHERE flood = mine.flood AND storm IS NULL AND settled_at IS NULL
                 AND next_attempt_at IS NULL AND state = 'sending')
            + (SELECT count(*) FROM deliveries
               WHERE flood = mine.flood AND storm IS NULL AND settled_at IS NULL
                 AND next_attempt_at <= $3 AND state IN ('planned', 'held') AND NOT shadow) AS count
        FROM unnest($1::text[]) AS mine (flood)
        LEFT JOIN storms ON storms.flood = mine.flood AND ended_at IS NULL
        ORDER BY mine.flood
        """,
        floods,
        now - guard.within,
        now,
    )


async def _rise(
    connection: Connection, found: asyncpg.Record, guard: StormGuard, now: datetime
) -> asyncpg.Record | None:
    """Open a storm and return it, if there are too many messages; None otherwise."""
    flood, count = Flood.from_key(found["flood"]), found["count"]
    usual = None
    if guard.is_unusual(flood, count):
        usual = await _usual(connection, flood, guard, now)
    reason = guard.refusal(flood, count, usual)
    if reason is None:
        return None
    return await connection.fetchrow(
        """
        INSERT INTO storms (flood, account, rule, receiver, reason, began_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (flood) WHERE ended_at IS NULL DO UPDATE SET flood = excluded.flood
        RETURNING id, flood, reason
        """,
        flood.key,
        flood.account,
        flood.rule,
        flood.receiver,
        reason,
        now,
    )


async def _usual(
    connection: Connection, flood: Flood, guard: StormGuard, now: datetime
) -> float | None:
    row = await connection.fetchrow(
        """
        SELECT count(*) AS messages,
               count(DISTINCT floor(extract(epoch FROM settled_at) / $4)) AS spans
        FROM deliveries
        WHERE flood = $1 AND state IN ('sent', 'unknown') AND storm IS NULL
          AND settled_at > $2 AND settled_at <= $3
        """,
        flood.key,
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
            WHERE flood = $4 AND storm IS NULL AND settled_at IS NULL
              AND state IN ('planned', 'held') AND next_attempt_at <= $5
              AND (approver IS NULL OR approved_by IS NOT NULL) AND NOT shadow
            FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        storm["id"],
        storm["reason"],
        claimed,
        storm["flood"],
        now,
    )
    await holding.end_with_task(connection, [row["id"] for row in held])


async def lately(connection: Connection, now: datetime) -> Lately:
    """What a rehearsal that begins now has to know: open storms, and what has gone out."""
    open_ = await connection.fetch("SELECT flood, reason FROM storms WHERE ended_at IS NULL")
    sent = await connection.fetch(
        """
        SELECT flood, settled_at FROM deliveries
        WHERE flood IS NOT NULL AND state IN ('sent', 'unknown') AND storm IS NULL
          AND settled_at > $1 AND settled_at > coalesce(
            (SELECT max(ended_at) FROM storms WHERE storms.flood = deliveries.flood),
            '-infinity')
        ORDER BY settled_at
        """,
        now - LOOK_BACK,
    )
    reasons = {row["flood"]: row["reason"] for row in open_}
    return Lately(reasons, [(row["flood"], row["settled_at"]) for row in sent])


async def read(pool: Pool) -> list[dict[str, Any]]:
    """The storms that nobody has decided about, with how many messages each holds."""
    rows = await pool.fetch(
        """
        SELECT id, account, rule, receiver, reason, began_at,
               (SELECT count(*) FROM deliveries WHERE storm = storms.id AND state = 'held') AS held
        FROM storms WHERE ended_at IS NULL ORDER BY id
        """
    )
    return [dict(row) for row in rows]


async def open_in(pool: Pool, account: str, rule: str | None = None) -> list[int]:
    """The numbers of the storms in this account, or of this rule there; raises NoStorm."""
    rows = await pool.fetch(
        "SELECT id FROM storms WHERE account = $1 AND ($2::text IS NULL OR rule = $2)"
        " AND ended_at IS NULL ORDER BY id",
        account,
        rule,
    )
    if not rows:
        of = account if rule is None else f"the rule {rule} in {account}"
        raise NoStorm(f"the storm guard holds nothing of {of}")
    return [row["id"] for row in rows]


async def release(pool: Pool, clock: Clock, storm: int, *, by: str) -> Ended:
    """Release what a storm holds; returns the lanes, and how many. Raises NoStorm."""
    return await _end(
        pool,
        """
        UPDATE deliveries SET state = 'planned', reason = 'let go by ' || $2, next_attempt_at = $3
        WHERE storm = $1 AND state = 'held' RETURNING lane
        """,
        storm,
        by,
        clock.now(),
    )


async def drop(pool: Pool, clock: Clock, storm: int, *, by: str) -> Ended:
    """Cancel what a storm holds; returns the lanes, and how many. Raises NoStorm."""
    return await _end(
        pool,
        """
        UPDATE deliveries SET state = 'cancelled', reason = 'dropped by ' || $2 || '; ' || reason,
            next_attempt_at = NULL, settled_at = $3
        WHERE storm = $1 AND state = 'held' RETURNING lane
        """,
        storm,
        by,
        clock.now(),
    )


async def _end(pool: Pool, statement: str, storm: int, by: str, now: datetime) -> Ended:
    async with pool.acquire() as connection, connection.transaction():
        flood = await connection.fetchval(
            "UPDATE storms SET ended_at = $2, ended_by = $3"
            " WHERE id = $1 AND ended_at IS NULL RETURNING flood",
            storm,
            now,
            by,
        )
        if flood is None:
            raise NoStorm("somebody has decided about these messages before, or there are none")
        await _lock(connection, [flood])
        ended = await connection.fetch(statement, storm, by, now)
    return frozenset(row["lane"] for row in ended), len(ended)
