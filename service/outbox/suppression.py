"""Keeps deliveries from going out that were just placed or just claimed.

A claim is undone in its own transaction, so that nobody ever sees the delivery as being sent.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from service.domain.model import Kind
from service.outbox import ASKED_FOR
from service.rules.cancellation import ends_waiting
from service.store import Connection


def may_be_held(row: asyncpg.Record) -> bool:
    """Whether silences, mutes and `until` apply to a claimed delivery.

    They do not apply to the rewriting of a sent message, to a question to an approver, and to what
    a person wants to have sent.
    """
    return row["updates"] is None and row["approves"] is None and not is_asked_for(row)


def is_asked_for(row: asyncpg.Record) -> bool:
    """Whether a person wants to have it sent once more; it may have had to wait since."""
    return (row["reason"] or "").startswith(ASKED_FOR)


async def skip(connection: Connection, refused: Mapping[int, str], now: datetime) -> None:
    """Skip these deliveries, pending or just claimed, each for its reason."""
    if not refused:
        return
    await connection.execute(
        """
        UPDATE deliveries SET state = 'skipped', reason = new.reason, settled_at = $1,
            next_attempt_at = NULL, lease_until = NULL,
            attempts = attempts - (state = 'sending')::int
        FROM unnest($2::bigint[], $3::text[]) AS new (id, reason)
        WHERE deliveries.id = new.id AND state IN ('planned', 'held', 'sending')
        """,
        now,
        list(refused),
        list(refused.values()),
    )


async def end_with_task(connection: Connection, held: Sequence[int]) -> None:
    """Let these end with their task from now on: they were to go out at once, and wait now."""
    rows = await connection.fetch(
        """
        SELECT deliveries.id, events.kind, alarm
        FROM deliveries JOIN events ON events.id = deliveries.event
        WHERE deliveries.id = ANY ($1) AND deliveries.task <> '' AND withdraw_on = '{}'
        """,
        held,
    )
    if not rows:
        return
    await connection.execute(
        """
        UPDATE deliveries SET withdraw_on = string_to_array(new.words, E'\\n')
        FROM unnest($1::bigint[], $2::text[]) AS new (id, words) WHERE deliveries.id = new.id
        """,
        [row["id"] for row in rows],
        ["\n".join(sorted(ends_waiting(Kind(row["kind"]), row["alarm"]))) for row in rows],
    )
