"""Rejected webhooks (state `poison`), which could not be read, and operator actions on them."""

from datetime import datetime

import asyncpg

from service.domain.actors import Actor
from service.errors import TaskbellError
from service.store import Pool
from service.store.operators import changes
from service.store.operators.changes import Action


class NotRejected(TaskbellError):
    """There is no webhook with this number, or it was not rejected."""

    def __init__(self, receipt: int) -> None:
        super().__init__(f"no webhook {receipt} is waiting for a decision")


async def asking(pool: Pool, limit: int) -> list[asyncpg.Record]:
    """The rejected webhooks that need attention, newest first."""
    return await pool.fetch(
        """
        SELECT id, account, left(reason, 2000) AS reason, received_at FROM receipts
        WHERE state = 'poison' AND acknowledged_at IS NULL ORDER BY id DESC LIMIT $1
        """,
        limit,
    )


async def read_again(pool: Pool, receipt: int, *, by: Actor, now: datetime) -> str:
    """Process the webhook again; returns its account. Raises NotRejected."""
    async with pool.acquire() as connection, connection.transaction():
        account: str | None = await connection.fetchval(
            """
            UPDATE receipts SET state = 'pending', reason = NULL, settled_at = NULL,
                acknowledged_at = NULL
            WHERE id = $1 AND state = 'poison' RETURNING account
            """,
            receipt,
        )
        if account is None:
            raise NotRejected(receipt)
        detail = f"account {account}"
        await changes.record(connection, by, Action.WEBHOOK_RETRIED, receipt, now, detail)
    return account


async def leave(pool: Pool, receipt: int, *, by: Actor, now: datetime) -> None:
    """Acknowledge the webhook: it no longer needs attention. Raises NotRejected."""
    async with pool.acquire() as connection, connection.transaction():
        account: str | None = await connection.fetchval(
            """
            UPDATE receipts SET acknowledged_at = $2, reason = reason || '; ignored by ' || $3
            WHERE id = $1 AND state = 'poison' RETURNING account
            """,
            receipt,
            now,
            by.name,
        )
        if account is None:
            raise NotRejected(receipt)
        detail = f"account {account}"
        await changes.record(connection, by, Action.WEBHOOK_IGNORED, receipt, now, detail)
