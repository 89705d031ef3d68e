"""Silences in the database, and the deliveries that they suppress."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from service.domain.actors import Actor
from service.domain.model import Task
from service.domain.operators.silences import SCOPES, Silence, covering, described
from service.errors import TaskbellError
from service.outbox import DeliveryRequest
from service.store import Connection, Pool, read_through
from service.store.operators import changes
from service.store.operators.changes import Action
from service.store.tasks import read_task

# The period of past messages in a preview.
LOOK_BACK = timedelta(days=30)
WEEK = timedelta(days=7)
SHOWN = 50
# A column for statements that are made anyway, so that silences cost no query of their own. $2 is
# now; the value is null if no silence is on.
IN_FORCE = "(SELECT json_agg(silences) FROM silences WHERE ends_at > $2) AS silences"
_AT_ONCE = 1000


class NoSuchSilence(TaskbellError):
    """There is no active silence with this number."""


@dataclass(frozen=True, slots=True)
class Preview:
    """How many deliveries a silence would skip: pending now, and in the past (`LOOK_BACK`).

    `last_week` are those of the last seven days. `first` are the ids of the pending ones that are
    due first, at most `SHOWN`.
    """

    pending: int
    lately: int
    last_week: int
    first: tuple[int, ...]


async def add(pool: Pool, silence: Silence, by: Actor, now: datetime | None = None) -> int:
    """Store a silence and return its new id; `silence.id` is ignored.

    `now` is when it is made, if it begins later.
    """
    scopes = {scope: getattr(silence, scope) for scope in SCOPES}
    async with pool.acquire() as connection, connection.transaction():
        number: int = await connection.fetchval(
            """
            INSERT INTO silences (rule, person, customer, project, account, created_at, ends_at,
                reason, created_by, made_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id
            """,
            *scopes.values(),
            silence.created_at,
            silence.ends_at,
            silence.reason,
            by.name,
            at := now or silence.created_at,
        )
        detail = f"{described(scopes)}: {silence.reason}"
        await changes.record(connection, by, Action.SILENCE_ADDED, number, at, detail)
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


async def listed(pool: Pool, since: datetime, limit: int) -> list[dict[str, Any]]:
    """The silences that end after this time, the last one first, with how many they have `hidden`.

    Messages are not counted if an older version of Taskbell skipped them without the silence's id.
    """
    rows = await pool.fetch(
        """
        SELECT id, rule, person, customer, project, account, created_at, ends_at, reason,
               created_by,
               (SELECT count(*) FROM deliveries WHERE silence = silences.id
                AND state = 'skipped') AS hidden
        FROM silences WHERE ends_at > $1 ORDER BY ends_at DESC, id DESC LIMIT $2
        """,
        since,
        limit,
    )
    return [dict(row) for row in rows]


async def still_on(connection: Connection, now: datetime) -> list[Silence]:
    """The silences that have not ended by then."""
    rows = await connection.fetch(
        "SELECT json_agg(silences) AS silences FROM silences WHERE ends_at > $1", now
    )
    return in_force(rows)


async def expire(pool: Pool, number: int, now: datetime, *, by: Actor) -> None:
    """End a silence now; raises NoSuchSilence. Messages it has suppressed are not sent later."""
    async with pool.acquire() as connection, connection.transaction():
        ended = await connection.fetchval(
            "UPDATE silences SET ends_at = $2 WHERE id = $1 AND ends_at > $2 RETURNING id",
            number,
            now,
        )
        if ended is None:
            raise NoSuchSilence(f"there is no active silence {number}")
        await changes.record(connection, by, Action.SILENCE_ENDED, number, now)


async def preview(pool: Pool, silence: Silence, now: datetime) -> Preview:
    """Find the deliveries that a silence would skip, and count those of the past."""
    pending, past = list[tuple[datetime, int]](), list[datetime]()
    async with pool.acquire() as connection, connection.transaction():
        async for row in _told_of(connection, silence, now):
            if not _covers(silence, row):
                continue
            if not row["is_pending"]:
                past.append(row["created_at"])
            elif _falls_into(silence, row, now):
                pending.append((row["next_attempt_at"] or silence.ends_at, row["id"]))
    first = tuple(number for _, number in sorted(pending)[:SHOWN])
    week = sum(moment >= now - WEEK for moment in past)
    return Preview(len(pending), len(past), week, first)


def _falls_into(silence: Silence, row: asyncpg.Record, now: datetime) -> bool:
    """Whether a delivery may be sent while it lasts.

    What waits for a person may be sent at any time up to the one at which it ends by itself.
    """
    last = row["next_attempt_at"]
    if last is None:
        return True
    first = now if row["is_up_to_a_person"] else last
    return bool(max(last, now) >= silence.created_at and first < silence.ends_at)


async def _told_of(
    connection: Connection, silence: Silence, now: datetime
) -> AsyncIterator[asyncpg.Record]:
    """The deliveries that a silence may cover, pending or recent; with tasks if it needs them."""
    query = """
        SELECT deliveries.id, rule, channel, target, deliveries.account, deliveries.task,
               CASE WHEN $4 THEN before END AS before, CASE WHEN $4 THEN after END AS after,
               state IN ('planned', 'held') AS is_pending, next_attempt_at, created_at,
               state = 'held' AND (hold IS NOT NULL OR storm IS NOT NULL
                 OR approver IS NOT NULL AND approved_by IS NULL) AS is_up_to_a_person
        FROM deliveries JOIN events ON events.id = event
        WHERE (deliveries.created_at >= $1 OR state IN ('planned', 'held'))
          AND updates IS NULL AND approves IS NULL
          AND ($2::text IS NULL OR rule = $2)
          AND ($3::text IS NULL OR deliveries.account = $3)
          -- `Silence.covers` decides; this spares it most of the tasks. Python compares letters
          -- outside of ASCII in its own way, so that these are left to it.
          AND ($5::text IS NULL OR channel = 'employee' OR target ~ '[^ -~]'
               OR lower(target) IN ($5, '@' || $5))
          AND ($6::text IS NULL OR coalesce(after, before) #>> '{customer,name}' ~ '[^ -~]'
               OR $6 IN (lower(coalesce(after, before) #>> '{customer,id}'),
                         lower(coalesce(after, before) #>> '{customer,name}')))
          AND ($7::text IS NULL OR coalesce(after, before) #>> '{project,name}' ~ '[^ -~]'
               OR $7 IN (lower(coalesce(after, before) #>> '{project,id}'),
                         lower(coalesce(after, before) #>> '{project,name}')))
    """
    names = (silence.person, silence.customer, silence.project)
    scopes = [name and name.casefold() for name in names]
    values = (now - LOOK_BACK, silence.rule, silence.account, silence.looks_at_tasks, *scopes)
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
    told = row["after"] or row["before"]
    return read_task(told) if row["task"] and told else None


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
