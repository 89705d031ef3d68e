"""Receipts that nobody has read yet, from the worker's side."""

from collections.abc import Iterable, Sequence
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


async def claim(connection: Connection, accounts: Iterable[str], limit: int) -> list[Pending]:
    """Lock the oldest receipts of each of these accounts that no other worker has in hand.

    `limit` is for one account: none waits behind another's flood.
    """
    rows = await connection.fetch(
        """
        SELECT waiting.* FROM unnest($2::text[]) AS wanted (name), LATERAL (
            SELECT id, account, body, received_at, repeats FROM receipts
            WHERE account = wanted.name AND state = 'pending'
            ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) AS waiting
        ORDER BY id
        """,
        limit,
        list(accounts),
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


async def set_aside_orphans(
    pool: Pool, accounts: Iterable[str], now: datetime, before: datetime
) -> None:
    """Set aside what waits since before then for accounts other than these: nobody will read it."""
    await pool.execute(
        """
        UPDATE receipts SET state = 'poison', settled_at = $2,
            reason = 'there is no account ' || account || ' in the configuration any more'
        WHERE state = 'pending' AND account <> ALL ($1) AND received_at < $3
        """,
        list(accounts),
        now,
        before,
    )
