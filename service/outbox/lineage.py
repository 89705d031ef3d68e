"""Whose doing a task or a change is: the rules that wrote it, and those that made them write."""

from collections.abc import Collection, Iterable
from typing import TypeAlias

from service.store import Connection
from service.store.tasks import Key

Rules: TypeAlias = frozenset[str]

_LONGEST_LINE = 100  # writes that were made because of one another


async def makers(connection: Connection, keys: Iterable[Key]) -> dict[Key, Rules]:
    """The rules that made these tasks, that made the tasks for which they were made, and so on."""
    wanted = list(keys)
    if not wanted:
        return {}
    rows = await connection.fetch(
        """
        WITH RECURSIVE line AS (
            SELECT account, task, task AS made, NULL AS rule, 0 AS depth
            FROM unnest($1::text[], $2::text[]) AS wanted (account, task)
            UNION ALL
            SELECT line.account, line.task, deliveries.task, deliveries.rule, depth + 1
            FROM line JOIN deliveries ON deliveries.channel = 'create_task'
                AND deliveries.account = line.account AND deliveries.receipt ->> 'task' = line.made
            WHERE depth < $3)
        SELECT account, task, array_agg(rule) AS rules FROM line WHERE depth > 0
        GROUP BY account, task
        """,
        [account for account, _ in wanted],
        [task for _, task in wanted],
        _LONGEST_LINE,
    )
    return {(row["account"], row["task"]): frozenset(row["rules"]) for row in rows}


async def changers(connection: Connection, events: Collection[int]) -> dict[int, Rules]:
    """The rules that wrote what these events are about, that wrote what made those, and so on.

    An event that Taskbell caused goes back to the last write of the same task before it that
    touched one of its fields, and from there to the event for which that was written.
    """
    if not events:
        return {}
    rows = await connection.fetch(
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
                  AND CASE channel WHEN 'complete_task' THEN 'done' = ANY (events.changed)
                      WHEN 'update_task' THEN jsonb_exists_any(fields, events.changed) END
                ORDER BY deliveries.id DESC LIMIT 1) AS written
            WHERE depth < $2)
        SELECT event, array_agg(rule) AS rules FROM line WHERE depth > 0 GROUP BY event
        """,
        list(events),
        _LONGEST_LINE,
    )
    return {row["event"]: frozenset(row["rules"]) for row in rows}
