"""Tasks that a complete list does not show: each is asked for by its id, and not at every poll.

What the system shows by id though no list has it, as an archived task, is remembered with the task:
it is asked for again once in a while, and at once if it had been listed since.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from service.store import Connection
from service.store.lookups import Coverage


async def missing(
    connection: Connection,
    account: str,
    listed: Collection[str],
    covered: Coverage,
    before: datetime,
) -> dict[str, datetime | None]:
    """The account's tasks, last seen before that moment, that are not among those listed.

    Only those that the list covers. With each, when it was last asked for because no list had it.
    """
    rows = await connection.fetch(
        r"""
        SELECT id, unlisted_at FROM (
            SELECT id, unlisted_at, snapshot FROM tasks
            WHERE account = $1 AND deleted_at IS NULL AND observed_at < $3 AND NOT EXISTS (
                SELECT FROM unnest(string_to_array($2, E'\n')) AS listed (id)
                WHERE listed.id = tasks.id)
            OFFSET 0  -- so that of the listed ones no snapshot is read
        ) AS unlisted
        WHERE ($4::timestamptz IS NULL OR (snapshot ->> 'start')::timestamptz >= $4)
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
    """Those of the missing tasks that were not asked for after that moment."""
    return [task_id for task_id, at in missed.items() if at is None or at <= since]


async def note(
    connection: Connection,
    account: str,
    listed: Collection[str],
    wanted: Sequence[str],
    scan: datetime,
) -> None:
    """Remember that these tasks are asked for since a list asked for at `scan` does not show them.

    Of those that are `listed` it is forgotten. Tasks are locked in the order of their ids.
    """
    rows = await connection.fetch(
        "SELECT id FROM tasks WHERE account = $1 AND unlisted_at IS NOT NULL", account
    )
    back = [row["id"] for row in rows if row["id"] in listed]
    if not back and not wanted:
        return
    await connection.execute(
        """
        UPDATE tasks SET unlisted_at = CASE WHEN id = ANY ($2::text[]) THEN $4::timestamptz END
        WHERE account = $1 AND id IN (
            SELECT id FROM tasks WHERE account = $1 AND id = ANY ($2::text[] || $3::text[])
            ORDER BY id FOR UPDATE)
        """,
        account,
        wanted,
        back,
        scan,
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
    """Ask for these tasks to be read by id, `at_once` of them now and as many after each pause."""
    await connection.execute(
        """
        INSERT INTO lookups (account, task, cause, asked_at, next_attempt_at)
        SELECT $1, id, 'fetch', $3::timestamptz,
            $3::timestamptz + $5::interval * ((place - 1) / $4::integer)
        FROM unnest($2::text[]) WITH ORDINALITY AS missing (id, place) ORDER BY id
        ON CONFLICT (account, task) DO UPDATE SET asked_at = excluded.asked_at,
            next_attempt_at = excluded.next_attempt_at, attempts = 0
        """,
        account,
        wanted,
        now,
        at_once,
        pause,
    )
