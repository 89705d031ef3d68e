"""Logins of the operator page, shared by all web processes, and when they expire."""

from collections.abc import Collection
from datetime import datetime

from service.domain.actors import Actor
from service.store import Pool
from service.store.operators import changes
from service.store.operators.changes import Action


async def begin(pool: Pool, key: bytes, by: Actor, expires_at: datetime, now: datetime) -> None:
    """Open a session of somebody, and delete those that have expired."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("DELETE FROM sessions WHERE expires_at <= $1", now)
        await connection.execute(
            "INSERT INTO sessions (key, name, expires_at) VALUES ($1, $2, $3)",
            key,
            by.name,
            expires_at,
        )
        await changes.record(connection, by, Action.SIGNED_IN, "", now)


async def find(pool: Pool, keys: Collection[bytes], now: datetime) -> bytes | None:
    """The key among these of which there is a valid session, if there is one."""
    found: bytes | None = await pool.fetchval(
        "SELECT key FROM sessions WHERE key = ANY ($1::bytea[]) AND expires_at > $2",
        list(keys),
        now,
    )
    return found


async def end(pool: Pool, key: bytes, by: Actor, now: datetime) -> None:
    """Close somebody's session permanently."""
    async with pool.acquire() as connection, connection.transaction():
        ended = await connection.fetchval("DELETE FROM sessions WHERE key = $1 RETURNING key", key)
        if ended is not None:
            await changes.record(connection, by, Action.SIGNED_OUT, "", now)
