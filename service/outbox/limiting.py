"""What the limit of a rule counts."""

from collections.abc import Sequence
from datetime import datetime

from service.outbox import Identity, Order
from service.store import Connection


async def limited(
    connection: Connection, rule: str, begin: datetime, end: datetime, *, shadow: bool
) -> list[datetime]:
    """When messages of this rule, which has a limit, go out from `begin` to `end`.

    Nobody else plans any for it before this transaction is over. Rules are asked about in the
    order of their names, so that no two transactions wait for each other.
    """
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('limit of ' || $1, 0))", rule
    )
    rows = await connection.fetch(
        """
        SELECT limited_at FROM deliveries
        WHERE rule = $1 AND limited_at BETWEEN $2 AND $3 AND shadow = $4
          AND state NOT IN ('cancelled', 'expired') AND (shadow OR state <> 'skipped')
        """,
        rule,
        begin,
        end,
        shadow,
    )
    return [row["limited_at"] for row in rows]


async def placed_before(connection: Connection, orders: Sequence[Order]) -> set[Identity]:
    """Those of the orders that their rule has placed already."""
    rows = await connection.fetch(
        """
        SELECT rule, step, once_key, target FROM deliveries
        JOIN unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::boolean[])
          AS wanted (rule, step, once_key, target, shadow)
          USING (rule, step, once_key, target, shadow)
        WHERE state NOT IN ('cancelled', 'expired') AND (shadow OR state <> 'skipped')
        """,
        [one.rule for one in orders],
        [one.plan.step for one in orders],
        [one.plan.once_key for one in orders],
        [one.plan.target for one in orders],
        [one.shadow for one in orders],
    )
    return {tuple(row) for row in rows}
