"""What is coming up: messages that are planned, and the tasks to which something happens soon."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import asyncpg

from service.store import Connection, Pool, read_through
from service.store.deliveries import IN_STORM, ON_HOLD
from service.store.tasks import TaskState, known_from

_AT_ONCE = 1000
_LONGEST = 2_000
_NOWHEN = datetime.min.replace(tzinfo=UTC)
# What waits for a person is no part of what comes by itself.
_BY_ITSELF = f"""
    (state = 'planned' OR state = 'held' AND NOT {IN_STORM}
     AND (approver IS NULL OR approved_by IS NOT NULL))
"""
_STATE = """
    snapshot, deleted_at, version, observed_at, fingerprint, rung, watch, unread, told,
    told_done_at
"""


async def planned(
    pool: Pool, until: datetime, limit: int, after: tuple[datetime, int] | None = None
) -> list[asyncpg.Record]:
    """Messages that go out by themselves by then, the next first; those after a mark, if given.

    `happened_at` is when their event was, `title` and `customer` are of its task.
    """
    return await pool.fetch(
        f"""
        SELECT deliveries.id, deliveries.account, deliveries.task, rule, step, channel, target,
               state, next_attempt_at AS at, left(reason, {_LONGEST}) AS reason,
               left(text, {_LONGEST}) AS text, left(subject, {_LONGEST}) AS subject,
               {ON_HOLD} AS on_hold, kind, cause, events.at AS happened_at,
               coalesce(after, before) ->> 'title' AS title,
               coalesce(after, before) #>> '{{customer,name}}' AS customer
        FROM deliveries LEFT JOIN events ON events.id = event
        WHERE state IN ('planned', 'held') AND next_attempt_at <= $1 AND {_BY_ITSELF}
          AND ($3::timestamptz IS NULL OR (next_attempt_at, deliveries.id) > ($3, $4::bigint))
        ORDER BY next_attempt_at, deliveries.id LIMIT $2
        """,
        until,
        limit,
        *(after or (None, None)),
    )


async def has_more_tasks(connection: Connection, accounts: Sequence[str], than: int) -> bool:
    """Whether these accounts have more tasks than that."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM (SELECT FROM tasks WHERE account = ANY ($1) LIMIT $2) AS found",
        accounts,
        than + 1,
    )
    return found > than


async def all_tasks(connection: Connection, accounts: Sequence[str]) -> list[tuple[str, TaskState]]:
    """Every task of these accounts that is there; a transaction has to be open."""
    query = f"""
        SELECT account, {_STATE} FROM tasks
        WHERE account = ANY ($1) AND snapshot IS NOT NULL AND deleted_at IS NULL
    """
    return [
        (row["account"], known_from(row))
        async for rows in read_through(connection, query, accounts, at_once=_AT_ONCE)
        for row in rows
    ]


async def tasks_due(
    connection: Connection, alarm_sets: Mapping[str, str], until: datetime, most: int
) -> tuple[list[tuple[str, TaskState]], datetime | None]:
    """The tasks to which something happens by then: an alarm, the end of a wait, a message.

    `alarm_sets` are the ids of those in force, by account; the alarms of tasks that another one has
    set are not known yet, so these are among them. If there are more than `most`, only the first
    are given, with the moment up to which they suffice. A transaction has to be open.
    """
    query = f"""
        WITH mine AS (SELECT * FROM unnest($1::text[], $2::text[]) AS mine (account, watch)),
        wanted (account, id, at) AS (
            SELECT tasks.account, tasks.id, next_alarm FROM mine JOIN tasks
              ON tasks.account = mine.account AND tasks.watch = mine.watch AND next_alarm <= $3
            UNION ALL
            SELECT tasks.account, tasks.id, '-infinity' FROM mine JOIN tasks
              ON tasks.account = mine.account AND tasks.watch < mine.watch
            UNION ALL
            SELECT tasks.account, tasks.id, '-infinity' FROM mine JOIN tasks
              ON tasks.account = mine.account AND tasks.watch > mine.watch
            UNION ALL
            SELECT account, task, '-infinity' FROM waits WHERE ends_at <= $3
            UNION ALL
            SELECT members.account, members.task, '-infinity' FROM digests
            JOIN digest_tasks AS members ON members.digest = digests.id WHERE closes_at <= $3
            UNION ALL
            SELECT account, task, '-infinity' FROM deliveries
            WHERE state IN ('planned', 'held') AND next_attempt_at <= $3),
        first AS (
            SELECT account, id, min(at) AS at FROM wanted GROUP BY account, id
            ORDER BY min(at) LIMIT $4)
        SELECT account, nullif(at, '-infinity') AS at, {_STATE}
        FROM first JOIN tasks USING (account, id)
        WHERE snapshot IS NOT NULL AND deleted_at IS NULL ORDER BY first.at
    """
    found = list[tuple[str, TaskState]]()
    last: datetime | None = None
    names, ids = list(alarm_sets), list(alarm_sets.values())
    async for rows in read_through(connection, query, names, ids, until, most, at_once=_AT_ONCE):
        found += [(row["account"], known_from(row)) for row in rows]
        last = rows[-1]["at"]
    return found, (last or _NOWHEN) if len(found) >= most else None
