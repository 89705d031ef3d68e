"""The history of what people do, newest first, for the page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from service.store import Pool

Mark: TypeAlias = tuple[datetime, int]
"""Where a page ends: time and number of its last entry."""
_MOST_NAMES = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for: one person's entries, and those of a span of time (UTC); or all."""

    by: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, and the mark after which older ones begin; None if there are none."""

    rows: list[dict[str, Any]]
    next: Mark | None


async def page(pool: Pool, asked: Asked, limit: int, after: Mark | None) -> Page:
    """The next entries in this order, each with who, what and from where."""
    rows = await pool.fetch(
        """
        SELECT id, at, by, from_address, action, subject, detail FROM changes
        WHERE ($1::text IS NULL OR by = $1)
          AND ($2::timestamptz IS NULL OR at >= $2) AND ($3::timestamptz IS NULL OR at < $3)
          AND ($4::timestamptz IS NULL OR (at, id) < ($4, $5))
        ORDER BY at DESC, id DESC LIMIT $6
        """,
        asked.by,
        asked.since,
        asked.until,
        *(after or (None, None)),
        limit + 1,
    )
    shown = [dict(row) for row in rows[:limit]]
    last = (shown[-1]["at"], shown[-1]["id"]) if len(rows) > limit else None
    return Page(shown, last)


async def names(pool: Pool) -> list[str]:
    """The names that entries have, in their order; each is found by one look into the index."""
    rows = await pool.fetch(
        """
        WITH RECURSIVE found AS (
            (SELECT by FROM changes ORDER BY by LIMIT 1)
            UNION ALL
            SELECT (SELECT changes.by FROM changes WHERE changes.by > found.by
                    ORDER BY changes.by LIMIT 1)
            FROM found WHERE found.by IS NOT NULL)
        SELECT by FROM found WHERE by IS NOT NULL LIMIT $1
        """,
        _MOST_NAMES,
    )
    return [row["by"] for row in rows]
