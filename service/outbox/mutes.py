"""Deliveries that are muted by what another rule has said of another task, and still holds.

It holds from when it is planned until its task is done, deleted or moved; whether it could be sent
is another matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from service.outbox.suppression import may_be_held
from service.rules.mutes import refusal
from service.store import Connection
from service.store.tasks import Key

_HOLDING = """
    SELECT deliveries.id, mutes, rule, deliveries.account, deliveries.task, event, withdraw_on,
           coalesce(nullif(coalesce(after, before) ->> 'title', ''), deliveries.task) AS title
    FROM deliveries JOIN events ON events.id = deliveries.event
    WHERE mutes IS NOT NULL AND NOT shadow AND NOT EXISTS (
        SELECT FROM events AS later
        WHERE later.account = deliveries.account AND later.task = deliveries.task
          AND later.id > deliveries.event
          AND (later.kind = ANY (withdraw_on) OR withdraw_on && ARRAY(
            SELECT later.kind || ':' || field FROM unnest(later.changed) AS field)))
"""


@dataclass(frozen=True, slots=True)
class Mute:
    """What a rule has said of a task (`title`), and the key under which that mutes others.

    `event` is what it was said about; one with any of the words `ends_on` ends it.
    """

    key: str
    rule: str
    title: str
    task: Key
    event: int
    ends_on: frozenset[str]


async def refusals(connection: Connection, claimed: Sequence[asyncpg.Record]) -> dict[int, str]:
    """Why some of the deliveries just claimed must not go out: by their ids."""
    muted = [row for row in claimed if row["muted_by"] is not None and may_be_held(row)]
    if not muted:
        return {}
    rows = await connection.fetch(
        f"""
        SELECT wanted.id, muting.rule, muting.title
        FROM unnest($1::bigint[], $2::text[]) AS wanted (id, key)
        CROSS JOIN LATERAL (
            {_HOLDING} AND mutes @> ARRAY[wanted.key] ORDER BY deliveries.id LIMIT 1) AS muting
        """,
        [row["id"] for row in muted],
        [row["muted_by"] for row in muted],
    )
    return {row["id"]: refusal(row["rule"], row["title"]) for row in rows}


async def holding(connection: Connection) -> list[Mute]:
    """Everything that mutes others now."""
    rows = await connection.fetch(f"{_HOLDING} ORDER BY deliveries.id")
    return [
        Mute(
            key,
            row["rule"],
            row["title"],
            (row["account"], row["task"]),
            row["event"],
            frozenset(row["withdraw_on"]),
        )
        for row in rows
        for key in row["mutes"]
    ]
