"""Values of an account's tasks that could not be read: how many, with an example."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from service.store import Pool

# A field of which this many values could not be read, and hardly any could, is not one bad row.
_FEW = 3
_HARDLY_ANY = 9  # times as many as could be read


@dataclass(frozen=True, slots=True)
class UnreadField:
    """A field of a system's JSON with values that could not be read, and one of these values."""

    name: str
    count: int
    task: str
    value: str

    @property
    def example(self) -> str:
        return f"{self.name} of task {self.task} (value: {self.value})"


async def fields(
    pool: Pool, account: str, listed: Collection[str] | None = None
) -> list[UnreadField]:
    """The fields with unreadable values in the account's tasks, the worst first.

    If `listed` is given, only the tasks with these ids count.
    """
    rows = await pool.fetch(
        """
        SELECT name, count(*) AS count, min(id) AS task,
               (array_agg(value ORDER BY id))[1] AS value
        FROM tasks, jsonb_each_text(unread) AS field (name, value)
        WHERE account = $1 AND unread IS NOT NULL AND deleted_at IS NULL
          AND ($2::text[] IS NULL OR id = ANY ($2))
        GROUP BY name ORDER BY count DESC, name
        """,
        account,
        None if listed is None else list(listed),
    )
    return [UnreadField(**row) for row in rows]


async def is_mostly_unreadable(pool: Pool, account: str, field: UnreadField, told: str) -> bool:
    """Whether hardly any value of the field could be read; `told` is its field of the task."""
    if field.count < _FEW:
        return False
    enough = field.count // _HARDLY_ANY + 1
    good: int = await pool.fetchval(
        """
        SELECT count(*) FROM (
            SELECT FROM tasks
            WHERE account = $1 AND deleted_at IS NULL AND NOT coalesce(unread ? $2, false)
              AND coalesce(snapshot ->> $3, '') NOT IN ('', '{}', '[]')
            LIMIT $4) AS good
        """,
        account,
        field.name,
        told,
        enough,
    )
    return good < enough


async def note(
    pool: Pool, account: str, *, rows: int, count: int, example: str | None, now: datetime
) -> None:
    """Store with the account how much could not be read: `rows` of its list, and in total.

    If no new example is given, the old one is kept while values are unreadable.
    """
    await pool.execute(
        """
        UPDATE accounts SET unread_rows = $2, unread = $3,
            unread_example = CASE WHEN $3 > 0 THEN coalesce($4, unread_example) END,
            unread_at = CASE WHEN $3 > 0 THEN coalesce(unread_at, $5) END
        WHERE name = $1
        """,
        account,
        rows,
        count,
        example,
        now,
    )
