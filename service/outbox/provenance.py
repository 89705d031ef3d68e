"""Which tasks and changes were made by Taskbell, and by which rules."""

from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

from service.domain.model import Observation
from service.domain.operators.buttons import ANSWER_KEY
from service.domain.system_actions import CLOCKS_DIFFER
from service.store import Connection
from service.store.tasks import Key

Rules: TypeAlias = frozenset[str]

_LONGEST_LINE = 100  # how many writes, each made because of the one before, are traced back


class PostgresProvenance:
    """`ProvenanceRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def writes_under_way(self, seen: Sequence[Observation]) -> dict[Key, frozenset[str]]:
        looks = [(look.account, look.task_id, look.task) for look in seen]
        rows = await self._connection.fetch(
            """
            WITH seen AS (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[])
                          AS seen (account, task, title))
            SELECT account, task, written FROM lookups JOIN seen USING (account, task)
            WHERE cause = 'write'
            UNION ALL
            SELECT account, task, CASE WHEN channel IN ('complete_task', 'reopen_task')
                   THEN ARRAY['done'] WHEN channel = 'delete_task' THEN ARRAY['deleted']
                   ELSE ARRAY(SELECT jsonb_object_keys(fields)) END
            FROM deliveries JOIN seen USING (account, task)
            WHERE state IN ('planned', 'held', 'sending') AND attempts > 0
              AND channel IN ('update_task', 'complete_task', 'reopen_task', 'delete_task')
              AND NOT starts_with(once_key, $4)  -- that is a person's own change
            UNION ALL
            SELECT seen.account, seen.task, '{}'
            FROM seen JOIN deliveries ON lane = 'writes:' || seen.account
            WHERE state IN ('planned', 'held', 'sending') AND attempts > 0
              AND channel = 'create_task' AND fields ->> 'title' = seen.title
            UNION ALL
            SELECT seen.account, seen.task, '{}'
            FROM seen JOIN deliveries ON lane = 'writes:' || seen.account
            WHERE channel = 'create_task' AND receipt ->> 'task' = seen.task AND NOT EXISTS (
                SELECT FROM events WHERE events.account = seen.account AND events.task = seen.task)
            """,
            [account for account, _, _ in looks],
            [task_id for _, task_id, _ in looks],
            ["" if task is None else task.title for _, _, task in looks],
            ANSWER_KEY,
        )
        written: dict[Key, frozenset[str]] = {}
        for row in rows:
            key = (row["account"], row["task"])
            written[key] = written.get(key, frozenset()) | frozenset(row["written"])
        return written

    async def creator_rules(self, keys: Iterable[Key]) -> dict[Key, Rules]:
        """A task is created in the account of the lane, for a task in that of the delivery."""
        wanted = list(keys)
        if not wanted:
            return {}
        rows = await self._connection.fetch(
            """
            WITH RECURSIVE line AS (
                SELECT account, task, account AS place, task AS made, NULL AS rule, 0 AS depth
                FROM unnest($1::text[], $2::text[]) AS wanted (account, task)
                UNION ALL
                SELECT line.account, line.task, deliveries.account, deliveries.task,
                       deliveries.rule, depth + 1
                FROM line JOIN deliveries ON deliveries.channel = 'create_task'
                    AND deliveries.lane = 'writes:' || line.place
                    AND deliveries.receipt ->> 'task' = line.made
                WHERE depth < $3)
            SELECT account, task, array_agg(rule) AS rules FROM line WHERE depth > 0
            GROUP BY account, task
            """,
            [account for account, _ in wanted],
            [task for _, task in wanted],
            _LONGEST_LINE,
        )
        return {(row["account"], row["task"]): frozenset(row["rules"]) for row in rows}

    async def writer_rules(self, events: Collection[int]) -> dict[int, Rules]:
        if not events:
            return {}
        rows = await self._connection.fetch(
            """
            WITH RECURSIVE line AS (
                SELECT id AS event, id AS cause, NULL AS rule, 0 AS depth
                FROM unnest($1::bigint[]) AS id
                UNION ALL
                SELECT line.event, written.event, written.rule, depth + 1
                FROM line JOIN events ON events.id = line.cause AND events.cause = 'write'
                CROSS JOIN LATERAL (
                    SELECT deliveries.event, deliveries.rule
                    FROM events AS earlier JOIN deliveries ON deliveries.event = earlier.id
                    WHERE earlier.account = events.account AND earlier.task = events.task
                      AND earlier.id < events.id AND attempts > 0
                      AND CASE WHEN channel IN ('complete_task', 'reopen_task')
                          THEN 'done' = ANY (events.changed)
                          WHEN channel = 'delete_task' THEN events.kind = 'deleted'
                          WHEN channel = 'update_task'
                          THEN jsonb_exists_any(fields, events.changed) END
                    ORDER BY deliveries.id DESC LIMIT 1) AS written
                WHERE depth < $2)
            SELECT event, array_agg(rule) AS rules FROM line WHERE depth > 0 GROUP BY event
            """,
            list(events),
            _LONGEST_LINE,
        )
        return {row["event"]: frozenset(row["rules"]) for row in rows}


async def others(connection: Connection, creations: Collection[int]) -> dict[int, frozenset[str]]:
    """For each delivery that is to create a task, tasks that it cannot have created itself.

    They were created by other deliveries, or have the same title and were known before.
    """
    if not creations:
        return {}
    rows = await connection.fetch(
        r"""
        SELECT mine.id, made.receipt ->> 'task' AS task
        FROM deliveries AS mine JOIN events ON events.id = mine.event
        JOIN deliveries AS made ON made.channel = 'create_task' AND made.lane = mine.lane
          AND made.id <> mine.id AND made.receipt IS NOT NULL
          AND made.settled_at > events.at - $2::interval
        WHERE mine.id = ANY ($1)
        UNION
        SELECT mine.id, known.id
        FROM deliveries AS mine
        JOIN accounts ON 'writes:' || accounts.name = mine.lane AND baseline_at < mine.created_at
        JOIN tasks AS known ON known.account = accounts.name
          AND regexp_replace(known.snapshot ->> 'title', '\s+', '', 'g')
              = regexp_replace(mine.fields ->> 'title', '\s+', '', 'g')
        WHERE mine.id = ANY ($1) AND NOT EXISTS (
            SELECT FROM events AS since
            WHERE since.account = known.account AND since.task = known.id
              AND since.kind = 'created' AND since.id > mine.event)
        """,
        list(creations),
        2 * CLOCKS_DIFFER,
    )
    found: dict[int, frozenset[str]] = {}
    for row in rows:
        found[row["id"]] = found.get(row["id"], frozenset()) | {row["task"]}
    return found
