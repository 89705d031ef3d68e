"""Deliveries that must not go out now: those just placed, and those just claimed.

A claim's own transaction undoes it: nobody has seen these deliveries being sent.
"""

from collections.abc import Mapping
from datetime import datetime

import asyncpg

from service.outbox import ASKED_FOR
from service.store import Connection


def may_be_held(row: asyncpg.Record) -> bool:
    """Whether a claimed delivery is one that others may hold back, skip or cancel.

    The rewriting of a message that is out is not, neither is a question to an approver, nor what
    a person has asked for.
    """
    return row["updates"] is None and row["approves"] is None and row["reason"] != ASKED_FOR


async def skip(connection: Connection, refused: Mapping[int, str], now: datetime) -> None:
    """Have these deliveries, pending or just claimed, not go out, each with its reason."""
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
