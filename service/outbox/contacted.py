"""The messages that reach customers, counted per customer and day over all rules and accounts.

They are written down as they are claimed, if `contacts` has `at_most`. Whether they were sent is
read from the deliveries: one that was not sent does not count.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from service.domain.contacts import ContactKey, KeyKind, Keys, SentCounts
from service.outbox.gates import Candidate
from service.rules.contacts.policy import ContactsPolicy
from service.store import Connection

_LONGEST_DAY = timedelta(hours=26)  # with a clock that is put back


@dataclass(frozen=True, slots=True)
class Contacted:
    """The messages that customers got lately, and those that are under way."""

    sent: SentCounts = field(default_factory=SentCounts)
    under_way: SentCounts = field(default_factory=SentCounts)


async def counted(
    connection: Connection,
    candidates: Iterable[Candidate],
    policy: ContactsPolicy,
    zones: Mapping[str, ZoneInfo],
    now: datetime,
) -> Contacted:
    """What the customers of these deliveries got today, without these deliveries.

    Until this transaction ends, no other process starts to send a message to these customers.
    """
    customers = _customers(candidates, policy)
    keys = frozenset[ContactKey]().union(*(one for each in customers.values() for one in each))
    if not keys:
        return Contacted()
    await _lock(connection, keys)
    since = min(policy.sent_since(now, zone) for zone in zones.values())
    return _read(await _rows(connection, keys, since, customers))


async def note(
    connection: Connection,
    candidates: Iterable[Candidate],
    policy: ContactsPolicy,
    now: datetime,
) -> None:
    """Write down that these are being sent; another attempt counts for its own day."""
    rows = [
        (number, key)
        for number, each in _customers(candidates, policy).items()
        for key in frozenset[ContactKey]().union(*each)
    ]
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO contacted (delivery, kind, account, value, lookup, at)
        SELECT delivery, kind, account, value, lookup, $6
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
            AS new (delivery, kind, account, value, lookup)
        ON CONFLICT (lookup, kind, account, value, delivery) DO UPDATE SET at = excluded.at
        """,
        [number for number, _ in rows],
        [key.kind for _, key in rows],
        [key.account for _, key in rows],
        [key.value for _, key in rows],
        [key.lookup for _, key in rows],
        now,
    )


async def lately(connection: Connection, now: datetime) -> SentCounts:
    """What customers got within a day, for a simulation."""
    rows = await connection.fetch(
        """
        SELECT delivery, kind, contacted.account, value, at, state
        FROM contacted JOIN deliveries ON deliveries.id = delivery
        WHERE at >= $1 AND state IN ('sending', 'sent', 'unknown')
        """,
        now - _LONGEST_DAY,
    )
    found = SentCounts()
    for row in rows:
        found.add(row["delivery"], frozenset({_key(row)}), row["at"])
    return found


def _customers(
    candidates: Iterable[Candidate], policy: ContactsPolicy
) -> dict[int, Sequence[Keys]]:
    """The customers of each delivery that counts, by its id."""
    if policy.per_day is None:
        return {}
    return {
        one.id: policy.counted(one.receivers, one.key[0])
        for one in candidates
        if one.reaches_customer
    }


async def _lock(connection: Connection, keys: Iterable[ContactKey]) -> None:
    """Phone numbers that end alike have one lock, in whatever way they are written."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(name, 13))"
        " FROM (SELECT unnest($1::text[]) AS name ORDER BY 1) AS names",
        sorted({f"{one.kind} {one.account} {one.lookup}" for one in keys}),
    )


async def _rows(
    connection: Connection, keys: Collection[ContactKey], since: datetime, without: Collection[int]
) -> list[asyncpg.Record]:
    return await connection.fetch(
        """
        SELECT DISTINCT delivery, kind, account, value, contacted.at, state
        FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (kind, account, lookup)
        JOIN contacted USING (lookup, kind, account)
        JOIN LATERAL (SELECT state FROM deliveries WHERE id = delivery) AS deliveries ON true
        WHERE contacted.at >= $4 AND delivery <> ALL ($5)
          AND state IN ('sending', 'sent', 'unknown')
        """,
        [one.kind for one in keys],
        [one.account for one in keys],
        [one.lookup for one in keys],
        since,
        list(without),
    )


def _read(rows: Iterable[asyncpg.Record]) -> Contacted:
    found = Contacted()
    for row in rows:
        counts = found.under_way if row["state"] == "sending" else found.sent
        counts.add(row["delivery"], frozenset({_key(row)}), row["at"])
    return found


def _key(row: asyncpg.Record) -> ContactKey:
    return ContactKey(KeyKind(row["kind"]), row["value"], row["account"])
