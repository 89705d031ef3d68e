"""The net: rings again for whatever nobody answered, takes back leases, forgets what is old."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from service.outbox import Lanes, sending
from service.store import Pool, backlog

_YEAR = timedelta(days=365)
_PRUNED_AT_ONCE = 1000

# What is deleted, and at which age. An event outlives the deliveries that it caused.
_PRUNING = (
    (
        """
        DELETE FROM receipts WHERE id IN (
            SELECT id FROM receipts WHERE received_at < $1 AND state <> 'pending' LIMIT $2)
        """,
        timedelta(days=14),
    ),
    (
        "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE at < $1 LIMIT $2)",
        _YEAR,
    ),
    (
        """
        DELETE FROM deliveries WHERE id IN (
            SELECT id FROM deliveries WHERE created_at < $1 AND settled_at IS NOT NULL LIMIT $2)
        """,
        _YEAR,
    ),
    (
        """
        DELETE FROM events WHERE id IN (
            SELECT id FROM events WHERE at < $1 AND NOT EXISTS (
                SELECT FROM deliveries WHERE deliveries.event = events.id) LIMIT $2)
        """,
        _YEAR + timedelta(days=30),
    ),
)


async def unanswered(
    pool: Pool, accounts: Iterable[str], now: datetime
) -> tuple[Sequence[str], Lanes]:
    """The accounts whose receipts wait, and the lanes whose deliveries lost their process."""
    return await backlog.waiting(pool, accounts), frozenset(await sending.reclaim(pool, now))


async def prune(pool: Pool, now: datetime) -> None:
    """Delete what is older than it has to be, in small transactions."""
    for statement, age in _PRUNING:
        full = f"DELETE {_PRUNED_AT_ONCE}"
        while await pool.execute(statement, now - age, _PRUNED_AT_ONCE) == full:
            pass
