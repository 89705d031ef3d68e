"""How much of its `limit` a rule has used: the messages that it has planned already."""

from datetime import datetime

from service.store import Connection


async def limited(
    connection: Connection, rule: str, begin: datetime, end: datetime, *, shadow: bool
) -> list[datetime]:
    """When the messages that this rule has planned go out, from `begin` to `end`.

    Takes a lock until the end of the transaction, so that no other process plans messages of the
    same rule meanwhile. Callers go through rules in the order of their names, or two transactions
    could wait for each other for ever.
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
