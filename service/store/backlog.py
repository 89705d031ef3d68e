"""Receipts that nobody has read yet, from the worker's side."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.store import Connection, Pool


@dataclass(frozen=True, slots=True)
class Pending:
    """A receipt to be read; `repeats` counts how often its body came again after it was done."""

    id: int
    account: str
    body: bytes
    received_at: datetime
    repeats: int


async def claim(connection: Connection, limit: int) -> list[Pending]:
    """Lock the oldest receipts of each account that no other worker has in hand.

    `limit` is for one account: none waits behind another's flood.
    """
    rows = await connection.fetch(
        """
        SELECT waiting.* FROM accounts, LATERAL (
            SELECT id, account, body, received_at, repeats FROM receipts
            WHERE account = accounts.name AND state = 'pending'
            ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) AS waiting
        ORDER BY id
        """,
        limit,
    )
    return [Pending(*row) for row in rows]


async def settle(connection: Connection, receipts: Sequence[Pending], now: datetime) -> None:
    """Mark receipts as done."""
    await connection.execute(
        "UPDATE receipts SET state = 'done', settled_at = $2 WHERE id = ANY ($1)",
        [receipt.id for receipt in receipts],
        now,
    )


async def set_aside(connection: Connection, receipt: Pending, reason: str, now: datetime) -> None:
    """Keep a receipt that cannot be read out of the way of the others, with the reason."""
    await connection.execute(
        "UPDATE receipts SET state = 'poison', reason = $2, settled_at = $3 WHERE id = $1",
        receipt.id,
        reason,
        now,
    )


async def is_waiting(pool: Pool) -> bool:
    """Whether there is a receipt that nobody has read."""
    return bool(await pool.fetchval("SELECT EXISTS (SELECT FROM receipts WHERE state = 'pending')"))
