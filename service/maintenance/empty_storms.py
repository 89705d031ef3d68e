"""Ends storms that hold no messages any more: the next message is not part of that flood.

Their messages have expired, or were cancelled, for instance because a person switched the rule off.
"""

from datetime import datetime

from service.store import Pool

_ENDED_BY = "Taskbell: no message is left to decide about"


async def end(pool: Pool, now: datetime) -> None:
    """End the open storms that hold nothing any more.

    Each is locked first, and looked at only then: a claim that is about to add a message to it has
    either done so, or opens another one.
    """
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(
            "SELECT id FROM storms WHERE ended_at IS NULL ORDER BY id FOR UPDATE SKIP LOCKED"
        )
        if not rows:
            return
        await connection.execute(
            """
            UPDATE storms SET ended_at = $2, ended_by = $3
            WHERE id = ANY ($1) AND NOT EXISTS (
                SELECT FROM deliveries WHERE storm = storms.id AND state = 'held')
            """,
            [row["id"] for row in rows],
            now,
            _ENDED_BY,
        )
