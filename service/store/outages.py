"""Times in which no worker handled an account, and the full sync that it needs after them.

The account's tasks may have changed in that time. So its alarms wait until everything was read, as
after a pause; but only for a limited time.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.store import Connection, Pool

# How long alarms wait for an account to be read. Then they fire by what is known: an overdue job
# that is not reported may cost more than a false alarm.
LONGEST_WAIT = timedelta(minutes=30)
# Since when an account's alarms wait to be read; beyond `since` they do not wait any more.
WAIT_SINCE = """CASE WHEN NOT paused THEN greatest(
    CASE WHEN failing_since > {since} AND scanned_at <= failing_since THEN failing_since END,
    CASE WHEN scanned_at < resumed_at AND stale_since > {since} THEN stale_since END) END"""
_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Outage:
    """The time in which no worker handled these accounts (UTC)."""

    began_at: datetime
    ended_at: datetime
    accounts: tuple[str, ...]


async def note_presence(
    pool: Pool, patience: Mapping[str, timedelta], now: datetime
) -> Outage | None:
    """Heartbeat: a worker handles these accounts; valid for the given duration of each.

    Returns the outage that this ends, if there was one: the accounts then need a full scan.
    """
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(
            """
            WITH before AS (
                SELECT name, alive_at, patience, NOT paused AND baseline_at IS NOT NULL
                    AND coalesce(alive_until < $3, false) AS is_stale
                FROM accounts JOIN unnest($1::text[], $2::interval[]) AS mine (name, patience)
                  USING (name)
                ORDER BY name FOR UPDATE OF accounts)
            UPDATE accounts SET alive_at = $3, alive_until = $3::timestamptz + patience,
                resumed_at = CASE WHEN is_stale THEN $3 ELSE resumed_at END,
                stale_since = CASE WHEN is_stale THEN $3 ELSE stale_since END,
                scan_asked_at = CASE WHEN is_stale THEN $3 ELSE scan_asked_at END,
                next_poll_at = CASE WHEN is_stale THEN $3 ELSE next_poll_at END
            FROM before WHERE accounts.name = before.name
            RETURNING accounts.name, before.alive_at, is_stale
            """,
            list(patience),
            list(patience.values()),
            now,
        )
        left = {row["name"]: row["alive_at"] for row in rows if row["is_stale"]}
        if not left:
            return None
        outage = Outage(min(left.values()), now, tuple(sorted(left)))
        await _keep(connection, outage)
    return outage


async def _keep(connection: Connection, outage: Outage) -> None:
    await connection.execute("DELETE FROM outages WHERE ended_at < $1", outage.ended_at - _KEPT)
    await connection.execute(
        "INSERT INTO outages (began_at, ended_at, accounts) VALUES ($1, $2, $3)",
        outage.began_at,
        outage.ended_at,
        list(outage.accounts),
    )


async def is_unread(pool: Pool, name: str, failing_before: datetime) -> bool:
    """Whether the account is paused, or still needs a full scan after a pause or an outage.

    An account that has been failing since before that time counts as read.
    """
    unread: bool | None = await pool.fetchval(
        """
        SELECT paused OR scanned_at < resumed_at AND (failing_since > $2) IS NOT FALSE
        FROM accounts WHERE name = $1
        """,
        name,
        failing_before,
    )
    return bool(unread)


async def was_read_since(pool: Pool, name: str, moment: datetime) -> bool:
    """Whether the whole account was read by a scan that was started since then."""
    read: bool | None = await pool.fetchval(
        "SELECT scanned_at >= $2 FROM accounts WHERE name = $1", name, moment
    )
    return bool(read)


async def outdated(connection: Connection, names: Collection[str], now: datetime) -> frozenset[str]:
    """Those of these accounts whose known tasks may be out of date, however long already."""
    rows = await connection.fetch(
        f"""
        SELECT name FROM accounts
        WHERE name = ANY ($1) AND (paused OR baseline_at IS NULL OR alive_until < $2
            OR {WAIT_SINCE.format(since="'-infinity'")} IS NOT NULL)
        """,
        list(names),
        now,
    )
    return frozenset(row["name"] for row in rows)
