"""`muted_by`: deliveries that are muted by an active message of another rule.

A message mutes from when it is planned until its task is done, deleted or moved, whether or not it
could be sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """A message about the task `title` that mutes others, and the key that it mutes.

    `event` is the event of the message; an event with any of the words in `ends_on` ends the mute.
    """

    key: str
    rule: str
    title: str
    task: Key
    event: int
    ends_on: frozenset[str]


async def muting(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The rule, and the title of the task, by which each of these keys is muted now."""
    if not keys:
        return {}
    rows = await connection.fetch(
        f"""
        SELECT wanted.key, muting.rule, muting.title FROM unnest($1::text[]) AS wanted (key)
        CROSS JOIN LATERAL (
            {_HOLDING} AND mutes @> ARRAY[wanted.key] ORDER BY deliveries.id LIMIT 1) AS muting
        """,
        sorted(set(keys)),
    )
    return {row["key"]: (row["rule"], row["title"]) for row in rows}


async def holding(connection: Connection) -> list[Mute]:
    """All active mutes."""
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
