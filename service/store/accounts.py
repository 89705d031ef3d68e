"""What is known of each account between two looks at it: when, how far, and whether it works."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.store import Connection, Pool


@dataclass(frozen=True, slots=True)
class AccountState:
    """One account's row; the times are UTC.

    `baseline_at` is when its first, silent scan was complete, `scanned_at` when its last complete
    scan was started, `watermark` up to where incremental reading has come.
    """

    name: str
    added_at: datetime
    baseline_at: datetime | None
    scanned_at: datetime | None
    watermark: datetime | None
    failures: int


async def register(pool: Pool, systems: Mapping[str, str], now: datetime) -> None:
    """Make a row for each account (name -> system) that has none yet."""
    await pool.execute(
        """
        INSERT INTO accounts (name, system, added_at, next_poll_at)
        SELECT name, system, $3, $3 FROM unnest($1::text[], $2::text[]) AS new (name, system)
        ON CONFLICT (name) DO NOTHING
        """,
        list(systems),
        list(systems.values()),
        now,
    )


async def read(connection: Connection, names: Iterable[str]) -> dict[str, AccountState]:
    rows = await connection.fetch(
        """
        SELECT name, added_at, baseline_at, scanned_at, watermark, failures
        FROM accounts WHERE name = ANY($1)
        """,
        list(names),
    )
    return {row["name"]: AccountState(**row) for row in rows}


async def claim_due(
    pool: Pool, names: Iterable[str], now: datetime, lease: timedelta
) -> list[AccountState]:
    """Take the accounts of `names` whose poll is due; nobody else polls them within `lease`."""
    rows = await pool.fetch(
        """
        UPDATE accounts SET lease_until = $2::timestamptz + $3
        WHERE name = ANY($1) AND next_poll_at <= $2 AND NOT paused
          AND (lease_until IS NULL OR lease_until < $2)
        RETURNING name, added_at, baseline_at, scanned_at, watermark, failures
        """,
        list(names),
        now,
        lease,
    )
    return [AccountState(**row) for row in rows]


async def keep_lease(pool: Pool, name: str, until: datetime) -> None:
    """Say that the poll of this account is still going on."""
    await pool.execute("UPDATE accounts SET lease_until = $2 WHERE name = $1", name, until)


async def release(pool: Pool, name: str) -> None:
    """Say that nobody polls this account any more."""
    await pool.execute("UPDATE accounts SET lease_until = NULL WHERE name = $1", name)


async def finish_poll(
    pool: Pool, name: str, *, now: datetime, next_poll_at: datetime, watermark: datetime | None
) -> None:
    """Record a poll that went well."""
    await pool.execute(
        """
        UPDATE accounts
        SET polled_at = $2, next_poll_at = $3, watermark = coalesce($4, watermark),
            failing_since = NULL, failures = 0, error = NULL
        WHERE name = $1
        """,
        name,
        now,
        next_poll_at,
        watermark,
    )


async def finish_scan(connection: Connection, name: str, started_at: datetime) -> None:
    """Record a complete scan; the first one ends the account's silence."""
    await connection.execute(
        """
        UPDATE accounts SET scanned_at = $2, baseline_at = coalesce(baseline_at, $2)
        WHERE name = $1
        """,
        name,
        started_at,
    )


async def fail_poll(
    pool: Pool, name: str, *, now: datetime, next_poll_at: datetime, error: str
) -> None:
    """Record a poll that failed, in words, and when to try again."""
    await pool.execute(
        """
        UPDATE accounts
        SET next_poll_at = $3, failures = failures + 1,
            failing_since = coalesce(failing_since, $2), error = $4
        WHERE name = $1
        """,
        name,
        now,
        next_poll_at,
        error,
    )


async def poll_now(pool: Pool, name: str, now: datetime) -> bool:
    """Make the account's next poll due at once, as a full scan; False if there is no such one."""
    done = await pool.execute(
        "UPDATE accounts SET next_poll_at = $2, scanned_at = NULL WHERE name = $1", name, now
    )
    return bool(done == "UPDATE 1")
