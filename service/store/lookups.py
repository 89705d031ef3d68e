"""Tasks that are to be read by id: thin webhooks, missing tasks to confirm, our own writes.

One row per task, so that a hundred webhooks about one change cause one call. A webhook that comes
during the call sets a later `asked_at`, and the row stays for another read.

A process that reads tasks holds a lease on their rows, with its own id, and renews it. The result
of a call is stored only while its lease is valid; otherwise the process that made the next call
could not know about it.

The tasks of one webhook are queued as if each had come one second after the other, so that they do
not block those of other webhooks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from service.domain.model import Cause
from service.store import Connection, Pool
from service.store.tasks import Key

# A system that reads from copies of its database may show for some seconds what was before.
SECOND_LOOK = timedelta(seconds=10)
# How long lookups stay with a process that gives no sign of life; one at work renews it.
LEASE = timedelta(seconds=8)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The tasks that a complete scan lists: those with a start from `since` to before `before`.

    None is no bound. A task without a start is covered only if there are no bounds.
    """

    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """One task to be read; `attempts` counts the call that is about to be made.

    - `receipts`: the webhooks that requested it
    - `older_at`: when the task was first shown in an older version than the known one, if that is
      the reason
    - `looks`: how often it was read since then without showing what the webhooks announced
    - `absent_at`: since when the system has reported the task as missing while its deletion is held
    - `lease`: the id of the claim
    - `trace`: the traceparent of the last of the `receipts`
    """

    account: str
    task: str
    cause: Cause
    asked_at: datetime
    attempts: int
    receipts: list[int]
    lease: UUID
    older_at: datetime | None = None
    looks: int = 0
    absent_at: datetime | None = None
    trace: str | None = None

    def confirms(self, requested_at: datetime) -> bool:
        """Whether a call at that time confirms an older version of the task."""
        return self.older_at is not None and requested_at >= self.older_at + SECOND_LOOK


class PostgresLookups:
    """`LookupRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(
        self,
        keys: Sequence[Key],
        cause: Cause,
        now: datetime,
        receipts: Sequence[int] = (),
    ) -> None:
        """`receipts` are the requesting webhooks, one for each task, if webhooks request it.

        The last hundred of them are stored.
        """
        if not keys:
            return
        await self._connection.execute(
            """
            INSERT INTO lookups (account, task, cause, asked_at, next_attempt_at, place, receipts)
            SELECT account, task, $3, $4::timestamptz, $4::timestamptz, min(place),
                array_remove(array_agg(DISTINCT receipt), NULL)
            FROM (
                SELECT account, task, receipt,
                    row_number() OVER (PARTITION BY receipt ORDER BY ordinal) - 1 AS place
                FROM unnest($1::text[], $2::text[], $5::bigint[])
                    WITH ORDINALITY AS given (account, task, receipt, ordinal)) AS new
            GROUP BY account, task ORDER BY account, task
            ON CONFLICT (account, task) DO UPDATE
            SET asked_at = excluded.asked_at, next_attempt_at = excluded.next_attempt_at,
                attempts = 0, looks = 0, place = least(lookups.place, excluded.place),
                lease_holder = NULL, lease_until = NULL,
                receipts = ARRAY(SELECT DISTINCT unnest(lookups.receipts || excluded.receipts) AS id
                                 ORDER BY id DESC LIMIT 100),
                cause = CASE WHEN lookups.cause = 'write' OR excluded.cause = 'fetch'
                             THEN lookups.cause ELSE excluded.cause END
            """,
            [account for account, _ in keys],
            [task for _, task in keys],
            cause,
            now,
            list(receipts),
        )

    async def ask_again(self, older: Mapping[Key, datetime], now: datetime) -> None:
        if not older:
            return
        await self._connection.execute(
            """
            INSERT INTO lookups (account, task, cause, asked_at, next_attempt_at, older_at)
            SELECT account, task, 'poll', $3::timestamptz,
                greatest(counts_from, $3::timestamptz + $4::interval), $3
            FROM unnest($1::text[], $2::text[], $5::timestamptz[])
              AS new (account, task, counts_from)
            ORDER BY account, task
            ON CONFLICT (account, task) DO UPDATE
            SET asked_at = excluded.asked_at, attempts = 0,
                older_at = coalesce(lookups.older_at, excluded.older_at),
                -- While it is being read, as where that was seen, it has had the look that was due.
                next_attempt_at = CASE WHEN lookups.lease_holder IS NULL
                    THEN least(lookups.next_attempt_at, excluded.next_attempt_at)
                    ELSE excluded.next_attempt_at END,
                lease_holder = NULL, lease_until = NULL
            """,
            [account for account, _ in older],
            [task for _, task in older],
            now,
            SECOND_LOOK,
            list(older.values()),
        )


async def ask_for_open_outside(
    connection: Connection, account: str, covered: Coverage, limit: int, now: datetime
) -> None:
    """Request open tasks that the account's list does not cover, the least recently seen first."""
    await connection.execute(
        """
        INSERT INTO lookups (account, task, cause, asked_at, next_attempt_at)
        SELECT account, id, 'fetch', $5::timestamptz, $5::timestamptz FROM (
            SELECT account, id, observed_at, (snapshot ->> 'start')::timestamptz AS start
            FROM tasks
            WHERE account = $1 AND deleted_at IS NULL AND snapshot ->> 'done' = 'false'
              AND NOT EXISTS (SELECT FROM lookups WHERE lookups.account = tasks.account
                                AND lookups.task = tasks.id AND absent_at IS NOT NULL)
        ) AS open
        WHERE start IS NULL OR start < $2 OR start >= $3
        ORDER BY observed_at, id LIMIT $4
        ON CONFLICT (account, task) DO NOTHING
        """,
        account,
        covered.since,
        covered.before,
        limit,
        now,
    )


async def request_read_back(
    connection: Connection, written: Mapping[Key, frozenset[str]], now: datetime
) -> None:
    """Request a read-back of tasks in which Taskbell has written fields (named as in `Task`)."""
    if not written:
        return
    await connection.execute(
        """
        INSERT INTO lookups (account, task, cause, written, asked_at, next_attempt_at)
        SELECT account, task, 'write', string_to_array(written, ' '), $4::timestamptz,
               $4::timestamptz
        FROM unnest($1::text[], $2::text[], $3::text[]) AS new (account, task, written)
        ORDER BY account, task
        ON CONFLICT (account, task) DO UPDATE
        SET asked_at = excluded.asked_at, next_attempt_at = excluded.next_attempt_at, attempts = 0,
            looks = 0, lease_holder = NULL, lease_until = NULL,
            cause = 'write', written = lookups.written || excluded.written
        """,
        [account for account, _ in written],
        [task for _, task in written],
        [" ".join(sorted(fields)) for fields in written.values()],
        now,
    )


# SQL condition for a lookup, at $2: it is due, and not leased.
_IS_DUE = "next_attempt_at <= $2 AND (lease_until IS NULL OR lease_until < $2)"


async def claim(pool: Pool, account: str, lease: UUID, now: datetime, limit: int) -> list[Lookup]:
    """Claim the account's due lookups; they become available again when this lease expires.

    None while the account is paused.
    """
    rows = await pool.fetch(
        f"""
        UPDATE lookups
        SET lease_holder = $4, lease_until = $2::timestamptz + $5, attempts = attempts + 1
        WHERE (account, task) IN (
            SELECT account, task FROM lookups WHERE account = $1 AND {_IS_DUE}
                AND NOT EXISTS (SELECT FROM accounts WHERE name = $1 AND paused)
            -- Absences to confirm may be thousands; they wait behind what has just happened.
            ORDER BY cause = 'fetch', next_attempt_at + place * interval '1 second'
            LIMIT $3 FOR UPDATE SKIP LOCKED)
        RETURNING account, task, cause, asked_at, attempts, receipts, lease_holder, older_at, looks,
            absent_at,
            (SELECT trace FROM receipts WHERE receipts.id = ANY (lookups.receipts)
             ORDER BY receipts.id DESC LIMIT 1) AS trace
        """,
        account,
        now,
        limit,
        lease,
        LEASE,
    )
    return [Lookup(row[0], row[1], Cause(row[2]), *row[3:]) for row in rows]


async def renew(pool: Pool, account: str, lease: UUID, now: datetime) -> None:
    """Renew the lease of lookups that are still being read."""
    await pool.execute(
        "UPDATE lookups SET lease_until = $3 WHERE account = $1 AND lease_holder = $2",
        account,
        lease,
        now + LEASE,
    )


async def give_back(pool: Pool, account: str, lease: UUID) -> None:
    """Release what is left of this claim; the call does not count as an attempt."""
    await pool.execute(
        """
        UPDATE lookups SET lease_holder = NULL, lease_until = NULL, attempts = attempts - 1
        WHERE account = $1 AND lease_holder = $2
        """,
        account,
        lease,
    )


async def done(connection: Connection, lookup: Lookup) -> bool:
    """Delete the lookup; False if it was requested again in the meantime."""
    struck = await connection.execute(
        """
        DELETE FROM lookups WHERE account = $1 AND task = $2 AND asked_at = $3
            AND older_at IS NOT DISTINCT FROM $4
        """,
        lookup.account,
        lookup.task,
        lookup.asked_at,
        lookup.older_at,
    )
    return struck == "DELETE 1"


async def read_again(connection: Connection, lookup: Lookup, until: datetime) -> None:
    """Read the task again at that time: it does not show yet what was announced."""
    await connection.execute(
        """
        UPDATE lookups SET next_attempt_at = $4, attempts = 0, looks = looks + 1, error = NULL,
            lease_holder = NULL, lease_until = NULL
        WHERE account = $1 AND task = $2 AND lease_holder = $3
        """,
        lookup.account,
        lookup.task,
        lookup.lease,
        until,
    )


async def postpone(pool: Pool, lookup: Lookup, until: datetime, error: str) -> None:
    """Try again later, with the error as the reason."""
    await pool.execute(
        """
        UPDATE lookups SET next_attempt_at = $4, error = $5, lease_holder = NULL, lease_until = NULL
        WHERE account = $1 AND task = $2 AND lease_holder = $3
        """,
        lookup.account,
        lookup.task,
        lookup.lease,
        until,
        error,
    )


async def accounts_due(pool: Pool, accounts: Iterable[str], now: datetime) -> list[str]:
    """Those of these accounts, paused ones excluded, that have a lookup that is due."""
    rows = await pool.fetch(
        f"""
        SELECT name FROM accounts WHERE name = ANY ($1) AND NOT paused AND EXISTS (
            SELECT FROM lookups WHERE account = name AND {_IS_DUE})
        """,
        list(accounts),
        now,
    )
    return [row["name"] for row in rows]
