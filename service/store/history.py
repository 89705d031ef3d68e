"""Recorded events and decisions, in the order of the decisions: for replays and backtests."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from service.domain.model import Event, Task
from service.store import Connection, Pool, read_through
from service.store.decisions import RecordedDecision
from service.store.events import event_from
from service.store.tasks import Key, read_task

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event, and when and by which version of the rules it was decided on."""

    event: Event
    decided_at: datetime
    rules_version: str


@dataclass(frozen=True, slots=True)
class PastDecision:
    """A decision, its task, and when its event was first decided on (UTC)."""

    decision: RecordedDecision
    account: str
    task: str
    decided_at: datetime


async def count(connection: Connection, since: datetime, until: datetime) -> int:
    """The number of events to read."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM events WHERE decided_at >= $1 AND decided_at < $2", since, until
    )
    return found


async def events(
    connection: Connection, since: datetime, until: datetime
) -> AsyncIterator[RecordedEvent]:
    """Every event in the order in which it was decided on; a transaction has to be open."""
    reader = _Reader()
    query = """
        SELECT id AS event, account, task, kind, at, cause, changed, alarm, signal, outdated,
               before, after, decided_at, rules_version
        FROM events WHERE decided_at >= $1 AND decided_at < $2 ORDER BY decided_at, id
    """
    async for rows in read_through(connection, query, since, until, at_once=_AT_ONCE):
        for row in rows:
            yield RecordedEvent(reader.event(row), row["decided_at"], row["rules_version"])


async def events_of(connection: Connection, key: Key) -> list[RecordedEvent]:
    """Every event of one task, in order, also those whose decision time was not recorded yet."""
    reader = _Reader()
    rows = await connection.fetch(
        """
        SELECT id AS event, account, task, kind, at, cause, changed, alarm, signal, outdated,
               before, after, coalesce(decided_at, at) AS decided_at,
               coalesce(rules_version, '') AS rules_version
        FROM events WHERE account = $1 AND task = $2 ORDER BY id
        """,
        *key,
    )
    return [
        RecordedEvent(reader.event(row), row["decided_at"], row["rules_version"]) for row in rows
    ]


async def decisions(connection: Connection, since: datetime, until: datetime) -> list[PastDecision]:
    """The decisions of rules on those events, in the order in which they were made."""
    rows = await connection.fetch(
        """
        SELECT decisions.at, event, rule, decisions.rules_version, outcome, reason,
               account, task, decided_at
        FROM decisions JOIN events ON events.id = event
        WHERE decided_at >= $1 AND decided_at < $2
        ORDER BY decisions.at, decisions.id
        """,
        since,
        until,
    )
    return [PastDecision(RecordedDecision(*row[:6]), *row[6:]) for row in map(tuple, rows)]


async def rulesets(connection: Connection, since: datetime, until: datetime) -> dict[str, str]:
    """The text of every version of the rules that made decisions then."""
    rows = await connection.fetch(
        """
        SELECT version, text FROM rulesets WHERE version IN (
            SELECT rules_version FROM events WHERE decided_at >= $1 AND decided_at < $2
            UNION SELECT rules_version FROM decisions WHERE at >= $1 AND at < $2)
        """,
        since,
        until,
    )
    return {row["version"]: row["text"] for row in rows}


async def placed_before(
    connection: Connection, moment: datetime
) -> list[tuple[tuple[str, int, str, str], bool]]:
    """(rule, step, once_key, target) of deliveries planned before then that count for once_per.

    Each with whether its rule was a shadow rule.
    """
    rows = await connection.fetch(
        """
        SELECT rule, step, once_key, target, shadow FROM deliveries
        WHERE created_at < $1 AND state NOT IN ('cancelled', 'expired')
          AND (shadow OR state <> 'skipped')
          AND once_key NOT LIKE 'event:%'
        """,
        moment,
    )
    return [(tuple(row)[:4], row["shadow"]) for row in rows]


async def placed_of(
    pool: Pool, wanted: Iterable[tuple[str, int, str, str]]
) -> list[tuple[tuple[str, int, str, str], bool]]:
    """Those of these (rule, step, once_key, target) that were planned, as `placed_before` has it.

    One that is pending is among them.
    """
    asked = {one for one in wanted if not one[2].startswith("event:")}
    rows = await pool.fetch(
        """
        SELECT rule, step, once_key, target, shadow
        FROM unnest($1::text[], $2::int[], $3::text[], $4::text[])
          AS wanted (rule, step, once_key, target)
        JOIN deliveries USING (rule, step, once_key, target)
        WHERE state NOT IN ('skipped', 'cancelled', 'expired') AND NOT shadow
           OR state NOT IN ('cancelled', 'expired') AND shadow
        """,
        *([list(column) for column in zip(*sorted(asked), strict=True)] or [[], [], [], []]),
    )
    return [(tuple(row)[:4], row["shadow"]) for row in rows]


async def tasks_at(connection: Connection, moment: datetime) -> AsyncIterator[tuple[Key, Task]]:
    """Every task that existed at that time, in its state then; a transaction has to be open.

    For a task that has changed since, the first later event has its state.
    """
    query = """
        SELECT tasks.account, tasks.id, CASE WHEN first.id IS NULL THEN
            CASE WHEN deleted_at IS NULL THEN snapshot END ELSE first.before END AS snapshot
        FROM tasks LEFT JOIN LATERAL (
            SELECT id, before FROM events
            WHERE events.account = tasks.account AND events.task = tasks.id
              AND decided_at >= $1 AND cause <> 'clock' AND kind <> 'signal'
            ORDER BY id LIMIT 1) AS first ON true
    """
    async for rows in read_through(connection, query, moment, at_once=_AT_ONCE):
        for row in rows:
            if (task := read_task(row["snapshot"])) is not None:
                yield (row["account"], row["id"]), task


class _Reader:
    """Reads events; a state that was just read as the previous one is not parsed again."""

    def __init__(self) -> None:
        self._last: dict[Key, tuple[str | None, Task | None]] = {}

    def event(self, row: asyncpg.Record) -> Event:
        key = row["account"], row["task"]
        text, before = self._last.get(key, (None, None))
        if text != row["before"]:
            before = read_task(row["before"])
        after = before if row["after"] == row["before"] else read_task(row["after"])
        self._last[key] = row["after"], after
        return event_from(row, before, after)
