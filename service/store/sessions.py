"""Logins of the operator page, shared by all web processes, and when they expire."""

from datetime import datetime

from service.store import Pool


async def begin(pool: Pool, key: bytes, expires_at: datetime, now: datetime) -> None:
    """Open a session, and delete those that have expired."""
    await pool.execute("DELETE FROM sessions WHERE expires_at <= $1", now)
    await pool.execute("INSERT INTO sessions (key, expires_at) VALUES ($1, $2)", key, expires_at)


async def is_open(pool: Pool, key: bytes, now: datetime) -> bool:
    """Whether there is a valid session with this key."""
    found: bool = await pool.fetchval(
        "SELECT EXISTS (SELECT FROM sessions WHERE key = $1 AND expires_at > $2)", key, now
    )
    return found


async def end(pool: Pool, key: bytes) -> None:
    """Close a session permanently."""
    await pool.execute("DELETE FROM sessions WHERE key = $1", key)
