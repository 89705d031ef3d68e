"""The storm guard: too many messages at once are held until a person decides.

Each held delivery has the id of its storm, so that it is held and counted only once.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg

from service.clock import Clock
from service.domain.actors import Actor
from service.domain.storms import LOOK_BACK, Lately, StormGuard, StormScope, usual_of
from service.errors import TaskbellError
from service.outbox import Lanes, suppression
from service.outbox.gates import Candidate, Stops
from service.store import Connection, Pool
from service.store.operators import changes
from service.store.operators.changes import Action

Ended: TypeAlias = tuple[Lanes, int]
"""The lanes of the messages that a storm has held, and how many these were."""

# Which deliveries count, of one flood or of a rule over all who are no customers.
_OF_FLOOD = "deliveries.flood = mine.flood"
_OF_RULE = """
    deliveries.account = mine.account AND deliveries.rule = mine.rule
    AND deliveries.flood <> deliveries.account
"""


class NoStorm(TaskbellError):
    """The storm guard holds nothing there."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The message counts of storm groups in the database; see `gates.StormCounts`."""

    open_: Mapping[StormScope, tuple[StormScope, str]]
    counts: Mapping[StormScope, int]
    usuals: Mapping[StormScope, float | None]

    def storm(self, flood: StormScope) -> tuple[StormScope, str] | None:
        return self.open_.get(flood)

    def others(self, flood: StormScope) -> int:
        return self.counts[flood]

    def usual(self, flood: StormScope) -> float | None:
        return self.usuals.get(flood)


_NONE = Counted({}, {}, {})


async def counted(
    connection: Connection, candidates: Sequence[Candidate], guard: StormGuard, now: datetime
) -> Counted:
    """Message counts of the storm groups of these deliveries, which themselves are not counted.

    One process at a time counts the customer messages of an account; otherwise each would find only
    some.
    """
    many = Counter(one.flood for one in candidates if one.flood is not None)
    if not many:
        return _NONE
    await _lock(connection, [flood.key for flood in many if flood.is_of_customers])
    wider = {flood.wider for flood in many if flood.wider is not None}
    rows = await _count(connection, [*many, *wider], [one.id for one in candidates], guard, now)
    counts = {StormScope.from_key(row["counted"]): row["count"] for row in rows}
    usuals = {
        flood: await _usual(connection, flood, guard, now)
        for flood, count in many.items()
        if any(guard.is_unusual(flood, counts[flood] + more) for more in range(1, count + 1))
    }
    return Counted(
        {
            StormScope.from_key(row["counted"]): (StormScope.from_key(row["flood"]), row["reason"])
            for row in rows
            if row["flood"] is not None
        },
        counts,
        usuals,
    )


async def _lock(connection: Connection, floods: Sequence[str]) -> None:
    if floods:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(flood, 8))"
            " FROM (SELECT unnest($1::text[]) AS flood ORDER BY 1) AS floods",
            floods,
        )


async def _count(
    connection: Connection,
    floods: Sequence[StormScope],
    without: Sequence[int],
    guard: StormGuard,
    now: datetime,
) -> list[asyncpg.Record]:
    """The open storm that holds each group, if there is one, and the number of its messages.

    Counted are those that were sent lately, are being sent, or are due. Messages that were sent
    before the last storm was decided do not count.
    """
    return await connection.fetch(
        f"""
        SELECT mine.flood AS counted, storm.flood, storm.reason,
            CASE WHEN is_of_rule THEN ({_counting(_OF_RULE)}) ELSE ({_counting(_OF_FLOOD)}) END
              AS count
        FROM (SELECT flood, wider, is_of_rule, split_part(flood, ' ', 1) AS account,
                     split_part(flood, ' ', 2) AS rule
              FROM unnest($1::text[], $2::text[], $3::boolean[])
                     AS given (flood, wider, is_of_rule)) AS mine
        LEFT JOIN LATERAL (
            SELECT storms.flood, reason FROM storms
            WHERE storms.flood IN (mine.flood, mine.wider) AND ended_at IS NULL
            ORDER BY storms.flood = mine.flood DESC LIMIT 1) AS storm ON true
        """,
        [flood.key for flood in floods],
        [flood.wider and flood.wider.key for flood in floods],
        [flood.is_of_rule for flood in floods],
        now - guard.within,
        now,
        without,
    )


def _counting(of_it: str) -> str:
    """SQL for the number of messages in a storm group; each part has an index of its own."""
    return f"""
        (SELECT count(*) FROM deliveries
         WHERE {of_it} AND storm IS NULL AND state IN ('sent', 'unknown')
           AND settled_at > greatest($4::timestamptz, (
             SELECT max(ended_at) FROM storms WHERE storms.flood = mine.flood)))
        + (SELECT count(*) FROM deliveries
           WHERE {of_it} AND storm IS NULL AND settled_at IS NULL
             AND next_attempt_at IS NULL AND state = 'sending' AND id <> ALL ($6))
        + (SELECT count(*) FROM deliveries
           WHERE {of_it} AND storm IS NULL AND settled_at IS NULL
             AND next_attempt_at <= $5 AND state IN ('planned', 'held') AND NOT shadow
             AND id <> ALL ($6))
    """


async def _usual(
    connection: Connection, flood: StormScope, guard: StormGuard, now: datetime
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


async def hold(connection: Connection, stops: Stops, now: datetime) -> None:
    """Open the storms that hold some of these, unless they are open, and hold all messages."""
    held: dict[StormScope, list[int]] = defaultdict(list)
    reasons: dict[StormScope, str | None] = {}
    for number, stop in stops.items():
        if stop.storm is not None:
            held[stop.storm].append(number)
            reasons[stop.storm] = stop.reason
    # Those of a rule come last, which would take along what belongs to a narrower one.
    for flood, ids in sorted(held.items(), key=lambda pair: (pair[0].is_of_rule, pair[0].key)):
        [storm] = await _open(connection, flood, reasons[flood], now)
        await _hold(connection, flood, storm, ids, now)


async def _open(
    connection: Connection, flood: StormScope, reason: str | None, now: datetime
) -> list[asyncpg.Record]:
    """The open storm of a group."""
    return await connection.fetch(
        """
        INSERT INTO storms (flood, account, rule, receiver, reason, began_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (flood) WHERE ended_at IS NULL DO UPDATE SET flood = excluded.flood
        RETURNING id, reason
        """,
        flood.key,
        flood.account,
        flood.rule,
        flood.receiver,
        reason,
        now,
    )


async def _hold(
    connection: Connection,
    flood: StormScope,
    storm: asyncpg.Record,
    claimed: Sequence[int],
    now: datetime,
) -> None:
    """Mark deliveries as held by a storm. Until a person decides, they can only expire."""
    held = await connection.fetch(
        f"""
        UPDATE deliveries SET state = 'held', storm = $1, hold = NULL, reason = $2,
            next_attempt_at = expires_at
        WHERE id = ANY ($3) OR id IN (
            SELECT id
            FROM (SELECT $4::text AS flood, $5::text AS account, $6::text AS rule) AS mine,
                deliveries
            WHERE {_OF_RULE if flood.is_of_rule else _OF_FLOOD}
              AND storm IS NULL AND settled_at IS NULL
              AND state IN ('planned', 'held') AND next_attempt_at <= $7
              AND (approver IS NULL OR approved_by IS NOT NULL)
              AND NOT shadow AND NOT asked_for
            FOR UPDATE OF deliveries SKIP LOCKED)
        RETURNING id
        """,
        storm["id"],
        storm["reason"],
        claimed,
        flood.key,
        flood.account,
        flood.rule,
        now,
    )
    await suppression.cancel_with_task(connection, [row["id"] for row in held])


async def lately(connection: Connection, now: datetime) -> Lately:
    """Open storms and recently sent messages, for a simulation that begins now."""
    open_ = await connection.fetch("SELECT flood, reason FROM storms WHERE ended_at IS NULL")
    ended = await connection.fetch(
        "SELECT flood, max(ended_at) AS at FROM storms WHERE ended_at > $1 GROUP BY flood",
        now - LOOK_BACK,
    )
    sent = await connection.fetch(
        """
        SELECT flood, settled_at FROM deliveries
        WHERE flood IS NOT NULL AND state IN ('sent', 'unknown') AND storm IS NULL
          AND settled_at > $1
        ORDER BY settled_at
        """,
        now - LOOK_BACK,
    )
    return Lately(
        reasons={row["flood"]: row["reason"] for row in open_},
        sent=[(row["flood"], row["settled_at"]) for row in sent],
        ended={row["flood"]: row["at"] for row in ended},
    )


async def read(pool: Pool) -> list[dict[str, Any]]:
    """The open storms, with the number of messages that each holds."""
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
        of = account if rule is None else f'rule "{rule}" in {account}'
        raise NoStorm(f"no messages of {of} are on hold")
    return [row["id"] for row in rows]


async def release(pool: Pool, clock: Clock, storm: int, *, by: Actor) -> Ended:
    """Release the messages of a storm; returns the lanes, and how many. Raises NoStorm."""
    return await _end(
        pool,
        Action.STORM_RELEASED,
        """
        UPDATE deliveries SET state = 'planned', reason = 'sent on by ' || $2, next_attempt_at = $3
        WHERE storm = $1 AND state = 'held' RETURNING lane
        """,
        storm,
        by,
        clock.now(),
    )


async def drop(pool: Pool, clock: Clock, storm: int, *, by: Actor) -> Ended:
    """Cancel the messages of a storm; returns the lanes, and how many. Raises NoStorm."""
    return await _end(
        pool,
        Action.STORM_DROPPED,
        """
        UPDATE deliveries SET state = 'cancelled', next_attempt_at = NULL, settled_at = $3,
            reason = 'never to be sent, as decided by ' || $2 || ' (was: ' || reason || ')'
        WHERE storm = $1 AND state = 'held' RETURNING lane
        """,
        storm,
        by,
        clock.now(),
    )


async def _end(
    pool: Pool, action: Action, statement: str, storm: int, by: Actor, now: datetime
) -> Ended:
    async with pool.acquire() as connection, connection.transaction():
        ending = await connection.fetchrow(
            "UPDATE storms SET ended_at = $2, ended_by = $3"
            " WHERE id = $1 AND ended_at IS NULL RETURNING flood, account",
            storm,
            now,
            by.name,
        )
        if ending is None:
            raise NoStorm(
                "someone has already decided about these messages, or they no longer exist"
            )
        await _lock(connection, [ending["flood"]])
        ended = await connection.fetch(statement, storm, by.name, now)
        detail = f"{len(ended)} messages of {ending['account']}"
        await changes.record(connection, by, action, storm, now, detail)
    return frozenset(row["lane"] for row in ended), len(ended)
