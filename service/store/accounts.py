"""Sync state of each account: last sync, position, errors.

A process that polls an account holds a lease with its own id. A poll that lost its lease, because
it was too slow to renew it, stores nothing: another one is in progress.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from service.store import Connection, Pool, outages
from service.store.outages import LONGEST_WAIT, WAIT_SINCE

# How long an account has to fail until it needs a full scan afterwards.
_LONG_FAILURE = timedelta(minutes=5)
# So long an account says that many tasks came into sight.
_NEWS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AccountState:
    """One account's row; the times are UTC.

    - `baseline_at`: when its first, silent scan was complete
    - `scanned_at`: when its last complete scan was started
    - `watermark`: the position up to which incremental polls have read
    - `overlap`: how far behind the watermark an incremental poll starts, as changes may show late
    - `scan_asked_at`: when a full scan was requested, until that is done
    - `lease`: the id of the poll that holds the lease
    - `webhook_at`: when the last webhook about a task came
    - `missed_at`: when a poll last found a change that no webhook had reported
    - `failures`: the number of failed polls in a row
    - `unread`, `unread_rows`: how many values of its tasks could not be read, and how many of them
      in its list
    - `awaits`: whether webhooks announced changes that it does not show yet
    """

    name: str
    added_at: datetime
    baseline_at: datetime | None
    scanned_at: datetime | None
    watermark: datetime | None
    failures: int
    scan_asked_at: datetime | None = None
    lease: UUID | None = None
    overlap: timedelta = timedelta(minutes=2)
    webhook_at: datetime | None = None
    missed_at: datetime | None = None
    unread: int = 0
    unread_rows: int = 0
    awaits: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How many tasks a scan has read, and the total if the system reports it."""

    read: int = 0
    total: int | None = None


async def register(pool: Pool, systems: Mapping[str, str], now: datetime) -> None:
    """Insert a row for each account (name -> system) that has none yet."""
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


async def keep_zones(pool: Pool, zones: Mapping[str, ZoneInfo]) -> None:
    """Store the time zone of each account, for `zones_of`."""
    await pool.execute(
        """
        UPDATE accounts SET time_zone = new.zone
        FROM unnest($1::text[], $2::text[]) AS new (name, zone)
        WHERE accounts.name = new.name AND time_zone IS DISTINCT FROM new.zone
        """,
        list(zones),
        [zone.key for zone in zones.values()],
    )


async def zones_of(pool: Pool) -> dict[str, ZoneInfo]:
    """The time zone of every account; UTC where no process has stored it yet."""
    rows = await pool.fetch("SELECT name, coalesce(time_zone, 'UTC') AS zone FROM accounts")
    return {row["name"]: ZoneInfo(row["zone"]) for row in rows}


class PostgresAccounts:
    """`AccountRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, names: Collection[str]) -> dict[str, AccountState]:
        rows = await self._connection.fetch(
            """
            SELECT name, added_at, baseline_at, scanned_at, watermark, failures,
                EXISTS (SELECT FROM announcements WHERE account = name) AS awaits
            FROM accounts WHERE name = ANY($1)
            """,
            list(names),
        )
        return {row["name"]: AccountState(**row) for row in rows}

    async def stale(self, names: Collection[str], now: datetime) -> frozenset[str]:
        rows = await self._connection.fetch(
            f"""
            SELECT name FROM accounts
            WHERE name = ANY ($1) AND NOT paused
              AND (alive_until < $2 OR {WAIT_SINCE.format(since="$3")} IS NOT NULL)
            """,
            list(names),
            now,
            now - LONGEST_WAIT,
        )
        return frozenset(row["name"] for row in rows)

    async def outdated(self, names: Collection[str], now: datetime) -> frozenset[str]:
        return await outages.outdated(self._connection, names, now)


async def claim_due(
    pool: Pool, names: Iterable[str], now: datetime, lease: timedelta
) -> list[AccountState]:
    """Claim those accounts of `names` whose poll is due; no other poll begins within `lease`."""
    rows = await pool.fetch(
        """
        UPDATE accounts
        SET lease_until = $2::timestamptz + $3, lease_holder = gen_random_uuid(),
            scan_read = NULL, scan_total = NULL
        WHERE name = ANY($1) AND next_poll_at <= $2 AND NOT paused
          AND (lease_until IS NULL OR lease_until < $2)
        RETURNING name, added_at, baseline_at, scanned_at, watermark, failures, scan_asked_at,
            lease_holder AS lease, overlap, webhook_at, missed_at, unread, unread_rows
        """,
        list(names),
        now,
        lease,
    )
    return [AccountState(**row) for row in rows]


async def keep_lease(
    pool: Pool, state: AccountState, until: datetime, progress: Progress | None = None
) -> bool:
    """Renew the lease of this poll, and store the progress of a scan.

    False if it lost its lease.
    """
    done = await pool.execute(
        """
        UPDATE accounts SET lease_until = $3, scan_read = $4, scan_total = $5
        WHERE name = $1 AND lease_holder = $2
        """,
        state.name,
        state.lease,
        until,
        progress and progress.read,
        progress and progress.total,
    )
    return _is_one(done)


async def release(pool: Pool, state: AccountState) -> None:
    """Release the lease of this poll."""
    await pool.execute(
        """
        UPDATE accounts
        SET lease_until = NULL, lease_holder = NULL, scan_read = NULL, scan_total = NULL
        WHERE name = $1 AND lease_holder = $2
        """,
        state.name,
        state.lease,
    )


async def finish_poll(
    pool: Pool,
    state: AccountState,
    *,
    now: datetime,
    next_poll_at: datetime,
    watermark: datetime | None,
    overlap: timedelta,
) -> bool:
    """Record a successful poll; False, and nothing is recorded, if it lost its lease."""
    done = await pool.execute(
        """
        UPDATE accounts
        SET polled_at = $3::timestamptz, watermark = coalesce($5, watermark), overlap = $6,
            next_poll_at = CASE WHEN scan_asked_at IS NULL THEN $4::timestamptz
                                ELSE $3::timestamptz END,
            failing_since = NULL, failures = 0, error = NULL
        WHERE name = $1 AND lease_holder = $2
        """,
        state.name,
        state.lease,
        now,
        next_poll_at,
        watermark,
        overlap,
    )
    return _is_one(done)


async def finish_scan(connection: Connection, state: AccountState, started_at: datetime) -> bool:
    """Record a complete scan; the first one ends the silent first sync.

    False, and nothing is recorded, if the poll lost its lease.
    """
    done = await connection.execute(
        """
        UPDATE accounts
        SET scanned_at = $3, baseline_at = coalesce(baseline_at, $3),
            scan_asked_at = CASE WHEN scan_asked_at > $3 THEN scan_asked_at END,
            appeared = CASE WHEN appeared_at > $4 THEN appeared ELSE 0 END,
            appeared_at = CASE WHEN appeared_at > $4 THEN appeared_at END
        WHERE name = $1 AND lease_holder = $2
        """,
        state.name,
        state.lease,
        started_at,
        started_at - _NEWS,
    )
    return _is_one(done)


async def has_lease(connection: Connection, state: AccountState) -> bool:
    """Whether this poll still holds the account's lease."""
    held: bool = await connection.fetchval(
        "SELECT lease_holder = $2 FROM accounts WHERE name = $1", state.name, state.lease
    )
    return held


async def fail_poll(
    pool: Pool, state: AccountState, *, now: datetime, next_poll_at: datetime, error: str
) -> bool:
    """Record a failed poll, with the error text and the time of the next attempt.

    After an account has failed for some minutes, it needs a full scan: tasks may have been changed
    or deleted meanwhile, so its alarms wait. The wait starts at the first failure or at the restart
    of Taskbell, whichever is later. False, and nothing is recorded, if the poll lost its lease.
    """
    done = await pool.execute(
        """
        UPDATE accounts
        SET next_poll_at = $4, failures = failures + 1,
            failing_since = coalesce(failing_since, $3), error = $5,
            resumed_at = CASE WHEN is_blind THEN $3 ELSE resumed_at END,
            scan_asked_at = CASE WHEN is_blind THEN $3 ELSE scan_asked_at END,
            stale_since = CASE WHEN is_blind THEN greatest(stale_since, failing_since)
                               ELSE stale_since END
        FROM (SELECT coalesce(failing_since <= $6 AND scanned_at <= failing_since, false)
                AS is_blind FROM accounts WHERE name = $1) AS before
        WHERE name = $1 AND lease_holder = $2
        """,
        state.name,
        state.lease,
        now,
        next_poll_at,
        error,
        now - _LONG_FAILURE,
    )
    return _is_one(done)


async def poll_now(connection: Connection | Pool, name: str, now: datetime) -> bool:
    """Make the account's next poll due at once, as a full scan; False if the account is unknown."""
    done = await connection.execute(
        "UPDATE accounts SET next_poll_at = $2, scan_asked_at = $2 WHERE name = $1", name, now
    )
    return _is_one(done)


async def pause(connection: Connection | Pool, name: str) -> None:
    """Pause the account: no polls and no calls until it is resumed.

    A poll that is in progress loses its lease, and its process stops it.
    """
    await connection.execute(
        """
        UPDATE accounts SET paused = true, lease_until = NULL, lease_holder = NULL,
            scan_read = NULL, scan_total = NULL
        WHERE name = $1
        """,
        name,
    )


async def resume(connection: Connection | Pool, name: str, now: datetime) -> None:
    """Resume a paused account, with a full scan at once.

    Pending deliveries through its system wait for that scan, which may cancel them.
    """
    await connection.execute(
        """
        UPDATE accounts SET paused = false, resumed_at = $2::timestamptz, stale_since = $2,
            next_poll_at = $2::timestamptz, scan_asked_at = $2::timestamptz
        WHERE name = $1 AND paused
        """,
        name,
        now,
    )


async def note_webhook(pool: Pool, name: str, at: datetime) -> None:
    """Record that a webhook about a task came at that time."""
    await pool.execute(
        "UPDATE accounts SET webhook_at = greatest(webhook_at, $2) WHERE name = $1", name, at
    )


async def note_missed(pool: Pool, name: str, count: int, now: datetime) -> None:
    """Record that a poll found this many transitions that no webhook had reported."""
    await pool.execute(
        "UPDATE accounts SET missed = missed + $2, missed_at = $3 WHERE name = $1",
        name,
        count,
        now,
    )


async def note_appeared(pool: Pool, name: str, count: int, now: datetime) -> None:
    """Record that `count` older tasks appeared at once and were imported without events."""
    await pool.execute(
        """
        UPDATE accounts
        SET appeared = appeared + $2, appeared_at = $3, appeared_told_at = NULL
        WHERE name = $1
        """,
        name,
        count,
        now,
    )


def _is_one(done: str) -> bool:
    """Whether the statement with this status has found its account."""
    return done == "UPDATE 1"
