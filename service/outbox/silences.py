"""Silences in the database, and the deliveries that they suppress."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from service.domain.model import Task
from service.domain.silences import SCOPES, Silence, covering
from service.errors import TaskbellError
from service.outbox import DeliveryRequest
from service.store import Connection, Pool, read_through
from service.store.tasks import read_task

# The period of past messages in a preview.
LOOK_BACK = timedelta(days=30)
# A column for statements that are made anyway, so that silences cost no query of their own. $2 is
# now; the value is null if no silence is on.
IN_FORCE = "(SELECT json_agg(silences) FROM silences WHERE ends_at > $2) AS silences"
_AT_ONCE = 1000
_KNOWN = {
    "account": "SELECT name FROM accounts",
    "rule": "SELECT DISTINCT rule AS name FROM deliveries",
    "person": """
        SELECT DISTINCT ltrim(target, '@') AS name FROM deliveries WHERE target <> ''
        UNION SELECT person ->> 'email' FROM tasks, json_array_elements(snapshot -> 'assignees')
              AS person WHERE deleted_at IS NULL AND person ->> 'email' IS NOT NULL
        UNION SELECT word FROM tasks, unnest(ARRAY[
                snapshot #>> '{customer,email}', snapshot #>> '{customer,phone}']) AS word
              WHERE word IS NOT NULL
    """,
}
_OF_TASKS = """
    SELECT DISTINCT word AS name FROM tasks,
        unnest(ARRAY[snapshot #>> ARRAY[$1, 'id'], snapshot #>> ARRAY[$1, 'name']]) AS word
    WHERE word IS NOT NULL AND (account = $2 OR $2::text IS NULL)
"""


class NoSuchSilence(TaskbellError):
    """There is no active silence with this number."""


@dataclass(frozen=True, slots=True)
class Preview:
    """How many deliveries a silence would skip: pending now, and in the past (`LOOK_BACK`)."""

    pending: int
    lately: int


async def known(pool: Pool, silence: Silence) -> dict[str, set[str]]:
    """The known names of each scope that a silence can have.

    Rules are those that have sent something; people are receivers, customers and assignees;
    customers and projects are those of tasks, in the silence's account if it has one.
    """
    async with pool.acquire() as connection:
        return {
            scope: {row["name"] for row in await _names_of(connection, scope, silence.account)}
            for scope in (*_KNOWN, "customer", "project")
            if getattr(silence, scope) is not None
        }


async def _names_of(
    connection: Connection, scope: str, account: str | None
) -> list[asyncpg.Record]:
    if scope in _KNOWN:
        return await connection.fetch(_KNOWN[scope])
    return await connection.fetch(_OF_TASKS, scope, account)


async def add(pool: Pool, silence: Silence, by: str) -> int:
    """Store a silence and return its new id; `silence.id` is ignored."""
    number: int = await pool.fetchval(
        """
        INSERT INTO silences (rule, person, customer, project, account, created_at, ends_at,
            reason, created_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id
        """,
        *(getattr(silence, scope) for scope in SCOPES),
        silence.created_at,
        silence.ends_at,
        silence.reason,
        by,
    )
    return number


async def read(pool: Pool, now: datetime, *, also_ended: bool = False) -> list[dict[str, Any]]:
    """The active silences, or all that there ever were, in the order in which they end."""
    rows = await pool.fetch(
        """
        SELECT id, rule, person, customer, project, account, created_at, ends_at, reason, created_by
        FROM silences WHERE ends_at > $1 OR $2 ORDER BY ends_at, id
        """,
        now,
        also_ended,
    )
    return [dict(row) for row in rows]


async def still_on(connection: Connection, now: datetime) -> list[Silence]:
    """The silences that have not ended by then."""
    rows = await connection.fetch(
        "SELECT json_agg(silences) AS silences FROM silences WHERE ends_at > $1", now
    )
    return in_force(rows)


async def expire(pool: Pool, number: int, now: datetime) -> None:
    """End a silence now; raises NoSuchSilence. Messages it has suppressed are not sent later."""
    ended = await pool.fetchval(
        "UPDATE silences SET ends_at = $2 WHERE id = $1 AND ends_at > $2 RETURNING id", number, now
    )
    if ended is None:
        raise NoSuchSilence(f"there is no active silence {number}")


async def preview(pool: Pool, silence: Silence) -> Preview:
    """Count the deliveries that a silence would skip, and those it would have skipped lately."""
    pending = lately = 0
    async with pool.acquire() as connection, connection.transaction():
        async for row in _told_of(connection, silence):
            if not _covers(silence, row):
                continue
            if not row["is_pending"]:
                lately += 1
            elif row["next_attempt_at"] is None or row["next_attempt_at"] < silence.ends_at:
                pending += 1
    return Preview(pending, lately)


async def _told_of(connection: Connection, silence: Silence) -> AsyncIterator[asyncpg.Record]:
    """The deliveries that a silence may cover, pending or recent."""
    query = """
        SELECT rule, channel, target, deliveries.account, deliveries.task, before, after,
               state IN ('planned', 'held') AS is_pending, next_attempt_at
        FROM deliveries JOIN events ON events.id = event
        WHERE (deliveries.created_at >= $1 OR state IN ('planned', 'held'))
          AND updates IS NULL AND approves IS NULL
          AND ($2::text IS NULL OR rule = $2)
          AND ($3::text IS NULL OR deliveries.account = $3)
    """
    values = (silence.created_at - LOOK_BACK, silence.rule, silence.account)
    async for rows in read_through(connection, query, *values, at_once=_AT_ONCE):
        for row in rows:
            yield row


def silencing(
    silences: Sequence[Silence], request: DeliveryRequest, now: datetime
) -> Silence | None:
    """The silence that covers a request now, if any. Shadows are not sent anyway."""
    plan = request.plan
    if plan.shadow:
        return None
    event = request.event
    task = event.task if event.task_id else None
    return covering(silences, request.rule, plan.channel, plan.target, event.account, task, now)


def _covers(silence: Silence, row: asyncpg.Record) -> bool:
    return silence.covers(*_names(row), _task(row))


def _names(row: asyncpg.Record) -> tuple[str, str, str, str]:
    return row["rule"], row["channel"], row["target"], row["account"]


def _task(row: asyncpg.Record) -> Task | None:
    """The single task that a delivery is about."""
    return read_task(row["after"] or row["before"]) if row["task"] else None


def in_force(rows: Sequence[asyncpg.Record]) -> list[Silence]:
    """The silences in the rows of a statement with the column `IN_FORCE`."""
    found = rows[0]["silences"] if rows else None
    return [_silence(raw) for raw in orjson.loads(found or "[]")]


def _silence(raw: Mapping[str, Any]) -> Silence:
    scopes = {scope: raw[scope] for scope in SCOPES}
    return Silence(
        raw["id"], _utc(raw["created_at"]), _utc(raw["ends_at"]), raw["reason"], **scopes
    )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
