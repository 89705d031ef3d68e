"""Tasks that are missing from a complete list: each is read by its id, but not at every poll.

If the system shows a task by its id although no list has it, such as an archived task, that is
stored with the task: it is read again from time to time, and at once if it was listed since.

If the system reports many tasks as missing at once, their deletion is held: usually the token has
lost its rights to them. It is accepted once a person confirms it, or after a day; if the tasks
reappear before, nothing has happened.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.store import Connection, Pool
from service.store.lookups import Coverage, Lookup
from service.store.tasks import Key

# So long a task counts as gone lately, when it is judged whether many are.
_LATELY = timedelta(minutes=10)


async def missing(
    connection: Connection,
    account: str,
    listed: Collection[str],
    covered: Coverage,
    before: datetime,
) -> dict[str, datetime | None]:
    """The account's tasks, last observed before that time, that are missing from the list.

    Only tasks that the list covers. Each with the time when it was last requested by id because it
    was missing from a list.
    """
    rows = await connection.fetch(
        # EXCEPT, as a join that is planned before the table is analyzed compares each with each,
        # and reads the snapshots of those that are listed.
        r"""
        SELECT id, unlisted_at FROM tasks
        WHERE account = $1 AND id = ANY (ARRAY(
            SELECT id FROM tasks WHERE account = $1 AND deleted_at IS NULL AND observed_at < $3
            EXCEPT SELECT unnest(string_to_array($2, E'\n'))))
          AND ($4::timestamptz IS NULL OR (snapshot ->> 'start')::timestamptz >= $4)
          AND ($5::timestamptz IS NULL OR (snapshot ->> 'start')::timestamptz < $5)
        ORDER BY id
        """,
        account,
        "\n".join(listed),
        before,
        covered.since,
        covered.before,
    )
    return {row["id"]: row["unlisted_at"] for row in rows}


def unasked(missed: Mapping[str, datetime | None], since: datetime) -> list[str]:
    """Those of the missing tasks that were not requested by id after that time."""
    return [task_id for task_id, at in missed.items() if at is None or at <= since]


async def note(
    connection: Connection,
    account: str,
    listed: Collection[str],
    wanted: Sequence[str],
    scan: datetime,
) -> None:
    """Mark tasks as missing from the scan started at `scan`; unmark those in `listed`.

    The `wanted` tasks are the missing ones. Tasks are locked in the order of their ids.
    """
    rows = await connection.fetch(
        "SELECT id FROM tasks WHERE account = $1 AND unlisted_at IS NOT NULL", account
    )
    back = [row["id"] for row in rows if row["id"] in listed]
    if not back and not wanted:
        return
    await connection.execute(
        "SELECT FROM tasks WHERE account = $1 AND id = ANY ($2) ORDER BY id FOR UPDATE",
        account,
        [*wanted, *back],
    )
    # Not by a CASE: an array that is looked through for each row compares each with each.
    for ids, at in ((wanted, scan), (back, None)):
        await connection.execute(
            "UPDATE tasks SET unlisted_at = $3 WHERE account = $1 AND id = ANY ($2)",
            account,
            ids,
            at,
        )


async def ask(
    connection: Connection,
    account: str,
    wanted: Sequence[str],
    now: datetime,
    *,
    at_once: int,
    pause: timedelta,
) -> None:
    """Request these tasks by id: the first `at_once` now, and as many again after each pause."""
    await connection.execute(
        """
        INSERT INTO lookups (account, task, cause, asked_at, next_attempt_at)
        SELECT $1, id, 'fetch', $3::timestamptz,
            $3::timestamptz + $5::interval * ((place - 1) / $4::integer)
        FROM unnest($2::text[]) WITH ORDINALITY AS missing (id, place) ORDER BY id
        ON CONFLICT (account, task) DO UPDATE SET asked_at = excluded.asked_at,
            next_attempt_at = CASE WHEN lookups.lease_holder IS NULL
                THEN least(lookups.next_attempt_at, excluded.next_attempt_at)
                ELSE excluded.next_attempt_at END,
            lease_holder = NULL, lease_until = NULL,
            attempts = CASE WHEN lookups.absent_at IS NULL THEN 0 ELSE lookups.attempts END
        """,
        account,
        wanted,
        now,
        at_once,
        pause,
    )


@dataclass(frozen=True, slots=True)
class MissingCount:
    """Number of tasks that disappeared in the last minutes, and of those that exist."""

    lately: int
    present: int


async def doubtful(connection: Connection, account: str) -> int:
    """Number of the account's tasks that may have been deleted and are being read by id.

    Zero once a person has confirmed that all missing tasks are deleted.
    """
    found: int = await connection.fetchval(
        """
        SELECT count(*) FROM lookups WHERE account = $1 AND cause = 'fetch'
          AND NOT EXISTS (SELECT FROM accounts WHERE name = $1 AND believed)
        """,
        account,
    )
    return found


async def loss(connection: Connection, account: str, now: datetime) -> MissingCount:
    """The numbers that decide whether unusually many tasks are missing."""
    [row] = await connection.fetch(
        """
        SELECT count(*) FILTER (WHERE deleted_at > $2) AS lately,
               count(*) FILTER (WHERE deleted_at IS NULL) AS present
        FROM tasks WHERE account = $1 AND snapshot IS NOT NULL
        """,
        account,
        now - _LATELY,
    )
    return MissingCount(**row)


async def hold(pool: Pool, lookup: Lookup, now: datetime, until: datetime) -> None:
    """Postpone the deletion and read the task again later."""
    await pool.execute(
        """
        UPDATE lookups SET absent_at = coalesce(absent_at, $4), next_attempt_at = $5,
            error = 'the task disappeared from the system together with many others',
            lease_holder = NULL, lease_until = NULL
        WHERE account = $1 AND task = $2 AND lease_holder = $3
        """,
        lookup.account,
        lookup.task,
        lookup.lease,
        now,
        until,
    )


async def any_held(pool: Pool, account: str) -> bool:
    """Whether a deletion is held that waits for another read."""
    held: bool = await pool.fetchval(
        "SELECT EXISTS (SELECT FROM lookups WHERE account = $1 AND absent_at IS NOT NULL)", account
    )
    return held


async def read_held_now(connection: Connection | Pool, account: str, now: datetime) -> None:
    """Read the held tasks now."""
    await connection.execute(
        """
        UPDATE lookups SET next_attempt_at = $2
        WHERE account = $1 AND absent_at IS NOT NULL AND next_attempt_at > $2
        """,
        account,
        now,
    )


async def held_since(connection: Connection, key: Key) -> datetime | None:
    """Since when the system has reported the task as missing while its deletion is held."""
    since: datetime | None = await connection.fetchval(
        "SELECT absent_at FROM lookups WHERE account = $1 AND task = $2", *key
    )
    return since


async def end(
    connection: Connection, account: str, listed: Collection[str], scan: datetime
) -> None:
    """End the holds of tasks that are listed again: they were not deleted.

    The others are read at once: so few may remain that their deletion is accepted.
    """
    rows = await connection.fetch(
        "SELECT task FROM lookups WHERE account = $1 AND absent_at <= $2 AND cause = 'fetch'",
        account,
        scan,
    )
    back = [row["task"] for row in rows if row["task"] in listed]
    if not back:
        return
    await connection.execute(
        "DELETE FROM lookups WHERE account = $1 AND task = ANY ($2) AND absent_at <= $3",
        account,
        back,
        scan,
    )
    await read_held_now(connection, account, scan)
