"""The last known state of each task, and the lock under which it changes."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

import asyncpg
import orjson

from service.domain.alarms import AnnouncedUntil
from service.domain.model import JSON_OPTIONS, Task
from service.domain.recurrence import ReportedCompletion
from service.store import Connection, Pool, column, read_through, task_words

Key: TypeAlias = tuple[str, str]
"""An account's name and the id of a task in it."""

_PAGE = 500  # tasks
_BLANK = asdict(Task(id="", account="", system=""))
_AT_ONCE = 1000
_LOOKED_UP_SOON = timedelta(minutes=5)  # else something keeps it from being read


@dataclass(frozen=True, slots=True)
class TaskState:
    """The stored state of one task; everything is None before the first observation.

    - `task`: the last known task; it stays after a deletion, as a record
    - `deleted_at`: when it was deleted; if it is set without `task`, the system reported an unknown
      task as missing
    - `announced_until`: up to when the alarms of each date have fired
    - `alarm_set`: the id of the alarm set of its next alarm; None if it has no alarm
    - `unread`: fields of the system's JSON, with their values, that the last observation could not
      read; fields that were not looked at are not included
    - `told`: its completions as a recurring task, each of which is reported only once
    """

    task: Task | None = None
    deleted_at: datetime | None = None
    version: datetime | None = None
    observed_at: datetime | None = None
    fingerprint: bytes | None = None
    announced_until: AnnouncedUntil = field(default_factory=dict)
    alarm_set: str | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    told: Sequence[ReportedCompletion] = ()

    @property
    def present(self) -> Task | None:
        """The task; None if it is deleted."""
        return None if self.deleted_at else self.task


_NEVER_SEEN = TaskState()


@dataclass(frozen=True, slots=True)
class TaskUpdate:
    """A task's new state, the time of its next alarm, and the alarm set that the alarm is from."""

    key: Key
    known: TaskState
    next_alarm: datetime | None = None
    alarm_set: str | None = None


class PostgresTasks:
    """`TaskRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._locked: dict[Key, TaskState] = {}

    async def lock(self, keys: Iterable[Key]) -> dict[Key, TaskState]:
        """First insert the rows of unknown tasks in order, then lock all of them in order.

        That avoids deadlocks.
        """
        wanted = sorted(set(keys))
        columns = [account for account, _ in wanted], [task for _, task in wanted]
        await self._connection.execute(
            """
            INSERT INTO tasks (account, id, watch)
            SELECT account, id, NULL FROM unnest($1::text[], $2::text[]) AS new (account, id)
            ON CONFLICT DO NOTHING
            """,
            *columns,
        )
        rows = await self._connection.fetch(
            """
            SELECT account, id, snapshot, deleted_at, version, observed_at, fingerprint, rung,
                   watch, unread, told, told_done_at
            FROM tasks
            JOIN unnest($1::text[], $2::text[]) AS wanted (account, id) USING (account, id)
            ORDER BY account, id FOR UPDATE OF tasks
            """,
            *columns,
        )
        return self._remembered(rows)

    async def lock_due(
        self, alarm_sets: Mapping[str, str], now: datetime, limit: int
    ) -> dict[Key, TaskState]:
        rows = await self._connection.fetch(
            """
            SELECT ringing.* FROM unnest($2::text[], $3::text[]) AS mine (account, watch), LATERAL (
                SELECT account, id, snapshot, deleted_at, version, observed_at, fingerprint, rung,
                       watch, unread, told, told_done_at, next_alarm
                FROM tasks
                WHERE account = mine.account AND watch = mine.watch AND next_alarm <= $1
                  AND NOT EXISTS (
                    SELECT FROM lookups WHERE lookups.account = tasks.account
                      AND lookups.task = tasks.id AND (asked_at > $5 OR absent_at IS NOT NULL))
                ORDER BY next_alarm LIMIT $4 FOR UPDATE SKIP LOCKED) AS ringing
            ORDER BY next_alarm, account, id
            """,
            now,
            list(alarm_sets),
            list(alarm_sets.values()),
            limit,
            now - _LOOKED_UP_SOON,
        )
        return self._remembered(rows)

    async def lock_watched(self, account: str, alarm_set: str, limit: int) -> dict[Key, TaskState]:
        """Lock some of the account's tasks that use this alarm set and are not locked by others."""
        rows = await self._connection.fetch(
            """
            SELECT account, id, snapshot, deleted_at, version, observed_at, fingerprint, rung,
                   watch, unread, told, told_done_at
            FROM tasks WHERE account = $1 AND watch = $2 LIMIT $3 FOR UPDATE SKIP LOCKED
            """,
            account,
            alarm_set,
            limit,
        )
        return self._remembered(rows)

    def _remembered(self, rows: Iterable[asyncpg.Record]) -> dict[Key, TaskState]:
        found = {(row["account"], row["id"]): known_from(row) for row in rows}
        self._locked.update(found)
        return found

    async def present(self, keys: Iterable[Key]) -> dict[Key, Task]:
        wanted = sorted(set(keys))
        rows = await self._connection.fetch(
            """
            SELECT account, id, snapshot
            FROM tasks
            JOIN unnest($1::text[], $2::text[]) AS wanted (account, id) USING (account, id)
            WHERE deleted_at IS NULL AND snapshot IS NOT NULL
            """,
            [account for account, _ in wanted],
            [task for _, task in wanted],
        )
        return {(row["account"], row["id"]): Task.from_json(row["snapshot"]) for row in rows}

    async def pages(self, account: str, fields: Collection[str]) -> AsyncIterator[list[Task]]:
        """Only these fields are converted, which is most of the cost."""
        query = """
            SELECT id, snapshot FROM tasks
            WHERE account = $1 AND deleted_at IS NULL AND snapshot IS NOT NULL
        """
        async for rows in read_through(self._connection, query, account, at_once=_PAGE):
            yield [_partly(row, fields) for row in rows]

    async def save(self, updates: Sequence[TaskUpdate]) -> None:
        await self._connection.execute(
            """
            UPDATE tasks SET snapshot = new.snapshot, deleted_at = new.deleted_at,
                version = new.version, observed_at = new.observed_at,
                fingerprint = new.fingerprint, rung = new.rung, next_alarm = new.next_alarm,
                watch = new.watch, unread = new.unread, told = new.told,
                told_done_at = new.told_done_at
            FROM unnest($1::text[], $2::text[], $3::json[], $4::timestamptz[], $5::timestamptz[],
                        $6::timestamptz[], $7::bytea[], $8::jsonb[], $9::timestamptz[], $10::text[],
                        $11::jsonb[], $12::jsonb[], $13::timestamptz[])
              AS new (account, id, snapshot, deleted_at, version, observed_at, fingerprint, rung,
                      next_alarm, watch, unread, told, told_done_at)
            WHERE tasks.account = new.account AND tasks.id = new.id
            """,
            [one.key[0] for one in updates],
            [one.key[1] for one in updates],
            [task_json(one.known.task) for one in updates],
            column([one.known.deleted_at for one in updates]),
            column([one.known.version for one in updates]),
            [one.known.observed_at for one in updates],
            [one.known.fingerprint for one in updates],
            [_json(one.known.announced_until) for one in updates],
            column([one.next_alarm for one in updates]),
            column([one.alarm_set for one in updates]),
            column([_json(one.known.unread) if one.known.unread else None for one in updates]),
            column([_reported_json(one.known.told) for one in updates]),
            column([one.known.told[-1].done_at if one.known.told else None for one in updates]),
        )
        texts = dict(self._new_texts(updates))
        if texts:
            await task_words.write(self._connection, texts)

    def _new_texts(self, updates: Sequence[TaskUpdate]) -> Iterator[tuple[Key, str]]:
        """The text to find each task by, of those that had another one when they were locked."""
        for one in updates:
            before, after = self._locked.get(one.key, _NEVER_SEEN).task, one.known.task
            if after is not before:
                text = task_words.text_of(after)
                if text is not None and text != task_words.text_of(before):
                    yield one.key, text

    async def forget_placeholders(self, keys: Sequence[Key]) -> None:
        if not keys:
            return
        await self._connection.execute(
            """
            DELETE FROM tasks USING unnest($1::text[], $2::text[]) AS unseen (account, id)
            WHERE tasks.account = unseen.account AND tasks.id = unseen.id AND snapshot IS NULL
            """,
            [account for account, _ in keys],
            [task for _, task in keys],
        )


async def unseen(connection: Connection, account: str, ids: Sequence[str]) -> dict[str, bool]:
    """Those of these tasks that are not known to exist, and whether they once existed."""
    rows = await connection.fetch(
        """
        SELECT new.id, snapshot IS NOT NULL AS was_there
        FROM unnest($2::text[]) AS new (id) LEFT JOIN tasks
          ON tasks.account = $1 AND tasks.id = new.id
        WHERE snapshot IS NULL OR deleted_at IS NOT NULL
        """,
        account,
        ids,
    )
    return {row["id"]: row["was_there"] for row in rows}


async def read_state(connection: Connection, key: Key) -> TaskState:
    """The stored state of a task at this moment, without a lock."""
    row = await connection.fetchrow(
        """
        SELECT snapshot, deleted_at, version, observed_at, fingerprint, rung, watch, unread, told,
               told_done_at
        FROM tasks WHERE account = $1 AND id = $2
        """,
        *key,
    )
    return TaskState() if row is None else known_from(row)


async def in_batches(pool: Pool, accounts: Sequence[str]) -> AsyncIterator[list[Task]]:
    """All tasks of these accounts, a thousand at a time."""
    async with pool.acquire() as connection, connection.transaction():
        query = """
            SELECT snapshot FROM tasks
            WHERE account = ANY ($1) AND snapshot IS NOT NULL AND deleted_at IS NULL
        """
        async for rows in read_through(connection, query, accounts, at_once=_AT_ONCE):
            yield [Task.from_json(row["snapshot"]) for row in rows]


async def changed(
    connection: Connection, account: str, fingerprints: Mapping[str, bytes]
) -> list[str]:
    """Those of these tasks, in their order, that differ from the last observation.

    `fingerprints` has the present fingerprint of each by its id, 16 bytes long.
    """
    # Ids are printable (`sources.values.identifier`). As one text and one row of bytes they cost a
    # fraction of what arrays do, which the driver takes apart.
    rows = await connection.fetch(
        r"""
        SELECT listed.id
        FROM unnest(string_to_array($2, E'\n')) WITH ORDINALITY AS listed (id, place)
        LEFT JOIN tasks
          ON tasks.account = $1 AND tasks.id = listed.id AND tasks.deleted_at IS NULL
        WHERE tasks.fingerprint IS DISTINCT FROM substr($3::bytea, 16 * place::int - 15, 16)
        ORDER BY place
        """,
        account,
        "\n".join(fingerprints),
        b"".join(fingerprints.values()),
    )
    return [row["id"] for row in rows]


async def count(pool: Pool) -> dict[str, int]:
    """The number of existing tasks of each account that has any."""
    rows = await pool.fetch(
        "SELECT account, count(*) FROM tasks WHERE deleted_at IS NULL GROUP BY account"
    )
    return {row["account"]: row["count"] for row in rows}


def task_json(task: Task | None) -> str | None:
    return None if task is None else task.to_json().decode()


def read_task(text: str | None) -> Task | None:
    return None if text is None else Task.from_json(text)


def _json(value: object) -> str:
    return orjson.dumps(value, option=JSON_OPTIONS).decode()


def _reported_json(told: Sequence[ReportedCompletion]) -> str | None:
    if not told:
        return None
    return _json([(one.at, *one.to) for one in told])


def _read_reported(text: str | None, done_at: datetime | None) -> Sequence[ReportedCompletion]:
    """Of the last one it is known when it was done; the others are compared by their dates only."""
    if text is None:
        return ()
    rows = [[at and datetime.fromisoformat(at) for at in row] for row in orjson.loads(text)]
    *past, last = [ReportedCompletion(at, (due, start)) for at, due, start in rows]
    return (*past, replace(last, done_at=done_at))


def _partly(row: asyncpg.Record, fields: Collection[str]) -> Task:
    """A task of which only these fields are converted, which is most of the cost."""
    raw = orjson.loads(row["snapshot"])
    found = {name: raw[name] for name in fields if name in raw}
    return Task.from_dict({**_BLANK, "id": row["id"], **found})


def known_from(row: asyncpg.Record) -> TaskState:
    """The state in the columns of a task's row."""
    if row["observed_at"] is None and row["deleted_at"] is None:
        return _NEVER_SEEN
    announced_until = {
        name: datetime.fromisoformat(at) for name, at in orjson.loads(row["rung"]).items()
    }
    return TaskState(
        task=read_task(row["snapshot"]),
        deleted_at=row["deleted_at"],
        version=row["version"],
        observed_at=row["observed_at"],
        fingerprint=row["fingerprint"],
        announced_until=announced_until,
        alarm_set=row["watch"],
        unread=orjson.loads(row["unread"]) if row["unread"] else {},
        told=_read_reported(row["told"], row["told_done_at"]),
    )
