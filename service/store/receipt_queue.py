"""The queue of unprocessed receipts, for the worker."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.store import Connection, Pool


@dataclass(frozen=True, slots=True)
class Pending:
    """A receipt to be read; `repeats` counts how often its body came again after it was done.

    `is_replay` says that it came again so soon that the repetition means nothing new.
    """

    id: int
    account: str
    body: bytes
    received_at: datetime
    repeats: int
    is_replay: bool = False
    trace: str | None = None


async def claim(connection: Connection, account: str, limit: int, size: int) -> list[Pending]:
    """Lock an account's oldest receipts: up to `limit`, and no more after `size` bytes.

    Until the transaction ends no other worker reads this account's receipts, so that they are
    processed in the order in which they came. They are locked in the same order in which the
    webhook endpoint locks repeated ones, to avoid deadlocks.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", account)
    rows = await connection.fetch(
        """
        SELECT id, account, body, received_at, repeats, said_at IS NOT NULL, trace FROM receipts
        WHERE state = 'pending' AND id IN (
            SELECT id FROM (
                SELECT id, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS ahead
                FROM (SELECT id, body FROM receipts WHERE account = $1 AND state = 'pending'
                      ORDER BY id LIMIT $2) AS oldest) AS summed
            WHERE ahead < $3)
        ORDER BY key FOR UPDATE
        """,
        account,
        limit,
        size,
    )
    return sorted((Pending(*row) for row in rows), key=lambda receipt: receipt.id)


async def settle(connection: Connection, receipts: Sequence[Pending], now: datetime) -> None:
    """Mark receipts as done."""
    await connection.execute(
        "UPDATE receipts SET state = 'done', settled_at = $2 WHERE id = ANY ($1)",
        [receipt.id for receipt in receipts],
        now,
    )


async def set_aside(connection: Connection, receipt: Pending, reason: str, now: datetime) -> None:
    """Reject a receipt that cannot be read, with the reason, so that it does not block others."""
    await connection.execute(
        "UPDATE receipts SET state = 'poison', reason = $2, settled_at = $3 WHERE id = $1",
        receipt.id,
        reason,
        now,
    )


async def note(connection: Connection, receipts: Sequence[int], reason: str) -> None:
    """Add to processed receipts the outcome for the tasks that they requested."""
    if not receipts:
        return
    await connection.execute(
        """
        UPDATE receipts SET reason = concat_ws('; ', reason, $2::text) WHERE id IN (
            SELECT id FROM receipts WHERE id = ANY ($1) AND state = 'done' ORDER BY key FOR UPDATE)
        """,
        receipts,
        reason,
    )


async def waiting(pool: Pool, accounts: Iterable[str]) -> list[str]:
    """Those of these accounts that have unprocessed receipts or acknowledgements."""
    rows = await pool.fetch(
        """
        SELECT name FROM unnest($1::text[]) AS wanted (name) WHERE EXISTS (
            SELECT FROM receipts WHERE account = wanted.name AND state = 'pending')
        OR EXISTS (SELECT FROM acknowledgements WHERE account = wanted.name)
        """,
        list(accounts),
    )
    return [row["name"] for row in rows]


async def set_aside_orphans(
    pool: Pool, accounts: Iterable[str], now: datetime, before: datetime
) -> None:
    """Reject receipts from before then for accounts other than these: no worker reads them."""
    await pool.execute(
        """
        UPDATE receipts SET state = 'poison', settled_at = $2,
            reason = 'account ' || account || ' is no longer in the configuration'
        WHERE state = 'pending' AND account <> ALL ($1) AND received_at < $3
        """,
        list(accounts),
        now,
        before,
    )
