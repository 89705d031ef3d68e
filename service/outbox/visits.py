"""Visits of which a customer has been told already: by another rule, or for another account.

Told is what was sent, or of which nobody knows whether it was. While it is being sent, whatever
tells the same waits (`claiming`); if it then has not gone out after all, the next one does.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from service.outbox.suppression import may_be_held
from service.rules.visits import Told
from service.store import Connection

# Of a delivery: whether another one that tells the same is just being sent.
IS_BEING_TOLD = """
    visit IS NOT NULL AND EXISTS (
        SELECT FROM deliveries AS other WHERE other.visit = deliveries.visit
          AND other.state = 'sending')
"""


async def give_back(
    connection: Connection, claimed: Sequence[asyncpg.Record], now: datetime
) -> frozenset[int]:
    """Of several claimed that tell the same, leave one; the others wait for what becomes of it.

    Returns the ids of these. No other process claims what tells the same before this transaction
    ends.
    """
    telling = [row for row in claimed if _is_told_once(row)]
    if not telling:
        return frozenset()
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(visit, 12))"
        " FROM (SELECT DISTINCT unnest($1::text[]) AS visit ORDER BY 1) AS visits",
        [row["visit"] for row in telling],
    )
    rows = await connection.fetch(
        """
        UPDATE deliveries SET state = 'planned', lease_until = NULL, attempts = attempts - 1,
            next_attempt_at = $2
        WHERE deliveries.id = ANY ($1) AND EXISTS (
            SELECT FROM deliveries AS other WHERE other.visit = deliveries.visit
              AND other.state = 'sending' AND other.id <> deliveries.id
              AND (other.id < deliveries.id OR other.id <> ALL ($1)))
        RETURNING deliveries.id
        """,
        [row["id"] for row in telling],
        now,
    )
    return frozenset(row["id"] for row in rows)


async def refusals(connection: Connection, claimed: Sequence[asyncpg.Record]) -> dict[int, str]:
    """Why some of the deliveries just claimed are not sent: who has told the same, by their ids."""
    telling = [row for row in claimed if _is_told_once(row)]
    if not telling:
        return {}
    rows = await connection.fetch(
        """
        SELECT mine.id, mine.visit, told.announced, told.rule, told.account
        FROM unnest($1::bigint[], $2::text[]) AS mine (id, visit)
        CROSS JOIN LATERAL (
            SELECT announced, rule, account FROM deliveries
            WHERE visit = mine.visit AND state IN ('sent', 'unknown')
            ORDER BY settled_at DESC, id DESC LIMIT 1) AS told
        """,
        [row["id"] for row in telling],
        [row["visit"] for row in telling],
    )
    told = {row["id"]: _told(row) for row in rows}
    return {
        row["id"]: last.reason(row["target"], row["account"])
        for row in telling
        if (last := told.get(row["id"])) is not None and last.announced == row["announced"]
    }


async def known(connection: Connection) -> dict[str, Told]:
    """What customers have been told last, by the keys of visits, for a simulation."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (visit) visit, announced, rule, account FROM deliveries
        WHERE visit IS NOT NULL AND state IN ('sending', 'sent', 'unknown')
        ORDER BY visit, settled_at DESC, id DESC
        """
    )
    return {row["visit"]: _told(row) for row in rows}


def _told(row: asyncpg.Record) -> Told:
    return Told(row["announced"], row["rule"], row["account"])


def _is_told_once(row: asyncpg.Record) -> bool:
    return row["visit"] is not None and not row["even_if_told"] and may_be_held(row)
