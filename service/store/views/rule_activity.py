"""The last message of each rule."""

from collections.abc import Mapping, Sequence

import asyncpg

from service.store import Pool


async def last_messages(pool: Pool, rules: Sequence[str]) -> Mapping[str, asyncpg.Record]:
    """The message that each of these rules planned last: id, state, account, created_at (UTC)."""
    rows = await pool.fetch(
        """
        SELECT rule, last.* FROM unnest($1::text[]) AS asked (rule), LATERAL (
            SELECT id, state, account, created_at FROM deliveries
            WHERE deliveries.rule = asked.rule ORDER BY created_at DESC, id DESC LIMIT 1) AS last
        """,
        list(rules),
    )
    return {row["rule"]: row for row in rows}
