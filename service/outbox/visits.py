"""Visits that were already announced to a customer: by another rule, or for another account.

This includes messages whose outcome is unknown. While a message is being sent, other messages about
the same visit wait (`claiming`). If its sending fails, the next of them is sent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from service.outbox.gates import Candidate
from service.rules.visits import Visit, VisitAnnouncement
from service.store import Connection, Pool

# SQL condition for a delivery: another one about the same visit is being sent.
IS_BEING_TOLD = """
    visit IS NOT NULL AND EXISTS (
        SELECT FROM deliveries AS other WHERE other.visit = deliveries.visit
          AND other.state = 'sending')
"""


@dataclass(frozen=True, slots=True)
class VisitAnnouncements:
    """The last message about each visit, and the visits with a message `under_way`; by key."""

    last: Mapping[str, VisitAnnouncement]
    under_way: frozenset[str]


async def announcements(
    connection: Connection, candidates: Sequence[Candidate]
) -> VisitAnnouncements:
    """What customers were already told about the visits of these deliveries.

    Until this transaction ends, no other process starts to send a message about these visits.
    """
    keys = {one.visit.key for one in candidates if one.visit is not None and one.is_sent_once}
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
        {row["visit"]: _announcement(row) for row in rows if not row["is_under_way"]},
        frozenset(row["visit"] for row in rows if row["is_under_way"]),
    )


async def note(connection: Connection, delivery: int, visit: Visit) -> None:
    """Store for which day or time the message announces the visit, if that has changed."""
    await connection.execute(
        "UPDATE deliveries SET announced = $2 WHERE id = $1", delivery, visit.announced
    )


async def known(connection: Connection) -> dict[str, VisitAnnouncement]:
    """The last message to customers about each visit, by key, for a simulation."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (visit) visit, announced, rule, account FROM deliveries
        WHERE visit IS NOT NULL AND state IN ('sending', 'sent', 'unknown')
        ORDER BY visit, settled_at DESC, id DESC
        """
    )
    return {row["visit"]: _announcement(row) for row in rows}


async def known_by_key(pool: Pool, keys: Iterable[str]) -> dict[str, VisitAnnouncement]:
    """The same, of these visits."""
    rows = await pool.fetch(
        """
        SELECT DISTINCT ON (visit) visit, announced, rule, account FROM deliveries
        WHERE visit = ANY ($1) AND state IN ('sending', 'sent', 'unknown')
        ORDER BY visit, settled_at DESC, id DESC
        """,
        list(set(keys)),
    )
    return {row["visit"]: _announcement(row) for row in rows}


def _announcement(row: asyncpg.Record) -> VisitAnnouncement:
    return VisitAnnouncement(row["announced"], row["rule"], row["account"])
