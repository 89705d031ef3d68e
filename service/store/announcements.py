"""Changes that webhooks announced and the system does not show yet; signals for unknown tasks.

While there is an announcement for a task, there is a lookup that reads the task. A caller that
deletes announcements must have locked the task's row.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from service.domain.model import Kind, Task
from service.store import Connection
from service.store.tasks import Key, read_task, task_json


@dataclass(frozen=True, slots=True)
class Announcement:
    """A change of a task that the webhook in this receipt announced `at` that time.

    `content` is its data about the task, in the system's own format; `signal` the name of a signal,
    which becomes an event once the task is known. For a completion, `task` is the task as the
    webhook shows it, if it does, and `is_repeat` says that the same body had come before.
    """

    key: Key
    receipt: int
    kind: Kind
    at: datetime
    content: Mapping[str, Any] | None = None
    signal: str = ""
    task: Task | None = None
    is_repeat: bool = False


class PostgresAnnouncements:
    """`AnnouncementRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def keep(self, announced: Sequence[Announcement]) -> None:
        """Store these until the system shows the changes; duplicates are stored once."""
        if not announced:
            return
        await self._connection.execute(
            """
            INSERT INTO announcements
                (account, task, receipt, kind, signal, content, at, snapshot, repeated)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[],
                                 $6::json[], $7::timestamptz[], $8::json[], $9::boolean[])
            ON CONFLICT DO NOTHING
            """,
            [one.key[0] for one in announced],
            [one.key[1] for one in announced],
            [one.receipt for one in announced],
            [one.kind for one in announced],
            [one.signal for one in announced],
            [
                None if one.content is None else orjson.dumps(one.content).decode()
                for one in announced
            ],
            [one.at for one in announced],
            [task_json(one.task) for one in announced],
            [one.is_repeat for one in announced],
        )

    async def by_task(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Announcement]]:
        wanted = list(keys)
        rows = await self._connection.fetch(
            """
            SELECT account, task, receipt, kind, at, NULL AS content, signal, snapshot, repeated
            FROM announcements
            JOIN unnest($1::text[], $2::text[]) AS wanted (account, task) USING (account, task)
            WHERE signal = '' ORDER BY at, receipt
            """,
            [account for account, _ in wanted],
            [task for _, task in wanted],
        )
        found: dict[Key, list[Announcement]] = defaultdict(list)
        for row in rows:
            found[row["account"], row["task"]].append(_announcement(row))
        return found

    async def about(self, key: Key) -> list[Announcement]:
        """The unconfirmed announcements for this task, in the order in which they came."""
        rows = await self._connection.fetch(
            """
            SELECT account, task, receipt, kind, at, content, signal, snapshot, repeated
            FROM announcements WHERE account = $1 AND task = $2 ORDER BY at, receipt
            """,
            *key,
        )
        return [_announcement(row) for row in rows]

    async def forget(self, over: Sequence[Announcement]) -> None:
        if not over:
            return
        await self._connection.execute(
            """
            DELETE FROM announcements
            USING unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[])
                AS over (account, task, receipt, kind, signal)
            WHERE announcements.account = over.account AND announcements.task = over.task
                AND announcements.receipt = over.receipt AND announcements.kind = over.kind
                AND announcements.signal = over.signal
            """,
            [one.key[0] for one in over],
            [one.key[1] for one in over],
            [one.receipt for one in over],
            [one.kind for one in over],
            [one.signal for one in over],
        )

    async def take_signals(self, keys: Iterable[Key]) -> list[Announcement]:
        """Remove and return the stored signals for those of these tasks that are known by now.

        Their tasks are locked first, as in every transaction.
        """
        wanted = sorted(set(keys))
        rows = await self._connection.fetch(
            """
            WITH known AS MATERIALIZED (
                SELECT account, id FROM tasks
                JOIN unnest($1::text[], $2::text[]) AS wanted (account, id) USING (account, id)
                WHERE deleted_at IS NULL AND snapshot IS NOT NULL
                ORDER BY account, id FOR UPDATE OF tasks)
            DELETE FROM announcements AS old USING known
            WHERE old.account = known.account AND old.task = known.id AND old.signal <> ''
            RETURNING old.account, old.task, old.receipt, old.kind, old.at, old.content, old.signal,
                old.snapshot, old.repeated
            """,
            [account for account, _ in wanted],
            [task for _, task in wanted],
        )
        taken = [_announcement(row) for row in rows]
        return sorted(taken, key=lambda one: (one.at, one.receipt))


def _announcement(row: asyncpg.Record) -> Announcement:
    content = None if row["content"] is None else orjson.loads(row["content"])
    return Announcement(
        (row["account"], row["task"]),
        row["receipt"],
        Kind(row["kind"]),
        row["at"],
        content,
        row["signal"],
        read_task(row["snapshot"]),
        row["repeated"],
    )
