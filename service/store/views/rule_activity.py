"""When each rule last did something."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from service.store import Pool


async def last_messages(pool: Pool, rules: Sequence[str]) -> Mapping[str, asyncpg.Record]:
    """The message that each of these rules planned last: id, state, account, created_at (UTC)."""
    rows = await pool.fetch(
        """
        SELECT rule, last.* FROM unnest($1::text[]) AS asked (rule), LATERAL (
            SELECT * FROM (
                (SELECT id, state, account, created_at FROM deliveries
                 WHERE deliveries.rule = asked.rule AND state NOT IN ('planned', 'held', 'sending')
                 ORDER BY created_at DESC, id DESC LIMIT 1)
                UNION ALL
                (SELECT id, state, account, created_at FROM deliveries
                 WHERE deliveries.rule = asked.rule AND state IN ('planned', 'held', 'sending')
                 ORDER BY created_at DESC, id DESC LIMIT 1)) AS both_kinds
            ORDER BY created_at DESC, id DESC LIMIT 1) AS last
        """,
        list(rules),
    )
    return {row["rule"]: row for row in rows}


async def last_matches(pool: Pool) -> Mapping[str, datetime]:
    """When each rule that has ever matched did so last (UTC). Reads all decisions on record."""
    rows = await pool.fetch(
        "SELECT rule, max(at) AS at FROM decisions WHERE outcome = 'matched' GROUP BY rule"
    )
    return {row["rule"]: row["at"] for row in rows}
