"""Who has signed in at the page, the same for all web processes, and until when."""

from datetime import datetime

from service.store import Pool


async def begin(pool: Pool, key: bytes, expires_at: datetime, now: datetime) -> None:
    """Open a session, and forget those that are over."""
    await pool.execute("DELETE FROM sessions WHERE expires_at <= $1", now)
    await pool.execute("INSERT INTO sessions (key, expires_at) VALUES ($1, $2)", key, expires_at)


async def is_open(pool: Pool, key: bytes, now: datetime) -> bool:
    """Whether somebody is signed in by this key."""
    found: bool = await pool.fetchval(
        "SELECT EXISTS (SELECT FROM sessions WHERE key = $1 AND expires_at > $2)", key, now
    )
    return found


async def end(pool: Pool, key: bytes) -> None:
    """Close a session for good."""
    await pool.execute("DELETE FROM sessions WHERE key = $1", key)
