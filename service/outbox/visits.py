"""Visits of which a customer has been told already: by another rule, or for another account.

Told is what was sent, or of which nobody knows whether it was. While it is being sent, whatever
tells the same waits (`claiming`); if it then has not gone out after all, the next one does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from service.outbox.gates import Candidate
from service.rules.visits import Told
from service.store import Connection, Pool

# Of a delivery: whether another one that tells the same is just being sent.
IS_BEING_TOLD = """
    visit IS NOT NULL AND EXISTS (
        SELECT FROM deliveries AS other WHERE other.visit = deliveries.visit
          AND other.state = 'sending')
"""


@dataclass(frozen=True, slots=True)
class VisitAnnouncements:
    """What was `told` last of visits, by their keys, and of which a message is `under_way`."""

    told: Mapping[str, Told]
    under_way: frozenset[str]


async def telling(connection: Connection, candidates: Sequence[Candidate]) -> VisitAnnouncements:
    """What the visits are told of already that these deliveries tell of.

    No other process begins to tell of the same before this transaction ends.
    """
    keys = {one.visit.key for one in candidates if one.visit is not None and one.is_told_once}
    if not keys:
        return VisitAnnouncements({}, frozenset())
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(visit, 12))"
        " FROM (SELECT unnest($1::text[]) AS visit ORDER BY 1) AS visits",
        sorted(keys),
    )
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (visit, state = 'sending')
            visit, announced, rule, account, state = 'sending' AS is_under_way
        FROM deliveries
        WHERE visit = ANY ($1) AND state IN ('sending', 'sent', 'unknown') AND id <> ALL ($2)
        ORDER BY visit, state = 'sending', settled_at DESC, id DESC
        """,
        sorted(keys),
        [one.id for one in candidates],
    )
    return VisitAnnouncements(
        {row["visit"]: _told(row) for row in rows if not row["is_under_way"]},
        frozenset(row["visit"] for row in rows if row["is_under_way"]),
    )


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


async def known_of(pool: Pool, keys: Iterable[str]) -> dict[str, Told]:
    """The same, of these visits."""
    rows = await pool.fetch(
        """
        SELECT DISTINCT ON (visit) visit, announced, rule, account FROM deliveries
        WHERE visit = ANY ($1) AND state IN ('sending', 'sent', 'unknown')
        ORDER BY visit, settled_at DESC, id DESC
        """,
        list(set(keys)),
    )
    return {row["visit"]: _told(row) for row in rows}


def _told(row: asyncpg.Record) -> Told:
    return Told(row["announced"], row["rule"], row["account"])
