"""The pending work, as `taskbell plan` needs it: waits, digests, deliveries, silences, tasks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from service.store import Connection, Pool, read_through
from service.store.tasks import TaskState, known_from

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Waits:
    """How many waits a rule has in an account."""

    rule: str
    account: str
    count: int


@dataclass(frozen=True, slots=True)
class Digests:
    """How many open digests a rule has in an account, with tasks of these `members`: accounts."""

    rule: str
    account: str
    members: frozenset[str]
    count: int


@dataclass(frozen=True, slots=True)
class Deliveries:
    """How many messages of a rule about an account are planned or held in a lane."""

    rule: str
    account: str
    lane: str
    count: int


async def watched(pool: Pool, within: timedelta) -> dict[str, ZoneInfo | None]:
    """The accounts of the active configuration, and the time zone of each alarm set.

    Workers renew the alarm set of each account again and again. Active are the accounts whose last
    renewal is at most `within` before the latest one of all accounts.
    """
    rows = await pool.fetch(
        """
        SELECT name, zone FROM accounts LEFT JOIN alarm_sets ON alarm_sets.id = accounts.watch
        WHERE watched_until >= (SELECT max(watched_until) FROM accounts) - $1::interval
        ORDER BY name
        """,
        within,
    )
    return {row["name"]: ZoneInfo(row["zone"]) if row["zone"] else None for row in rows}


async def waits(pool: Pool) -> list[Waits]:
    rows = await pool.fetch(
        "SELECT rule, account, count(*) FROM waits GROUP BY rule, account ORDER BY rule, account"
    )
    return [Waits(**row) for row in rows]


async def digests(pool: Pool) -> list[Digests]:
    """The digests that have not been sent yet."""
    rows = await pool.fetch(
        """
        SELECT rule, account, members, count(*) FROM digests CROSS JOIN LATERAL (
            SELECT array_agg(DISTINCT account ORDER BY account) AS members FROM digest_tasks
            WHERE digest = digests.id) AS gathered
        GROUP BY rule, account, members ORDER BY rule, account, members
        """
    )
    return [
        Digests(row["rule"], row["account"], frozenset(row["members"] or ()), row["count"])
        for row in rows
    ]


async def silences(pool: Pool, now: datetime) -> dict[str, int]:
    """The number of active silences on an account, by account."""
    rows = await pool.fetch(
        "SELECT account, count(*) FROM silences WHERE account IS NOT NULL AND ends_at > $1"
        " GROUP BY account ORDER BY account",
        now,
    )
    return {row["account"]: row["count"] for row in rows}


async def deliveries(pool: Pool) -> list[Deliveries]:
    rows = await pool.fetch(
        """
        SELECT rule, account, lane, count(*) FROM deliveries WHERE state IN ('planned', 'held')
        GROUP BY rule, account, lane ORDER BY rule, account, lane
        """
    )
    return [Deliveries(**row) for row in rows]


async def count_tasks(pool: Pool) -> int:
    """About how many tasks `tasks` will read."""
    found: int = await pool.fetchval(
        "SELECT count(*) FROM tasks WHERE snapshot IS NOT NULL AND deleted_at IS NULL"
    )
    return found


async def tasks(connection: Connection) -> AsyncIterator[tuple[str, TaskState]]:
    """Every task that is not deleted, with its account; a transaction has to be open."""
    query = """
        SELECT account, snapshot, deleted_at, version, observed_at, fingerprint, rung, watch,
               unread, told, told_done_at
        FROM tasks WHERE snapshot IS NOT NULL AND deleted_at IS NULL
    """
    async for rows in read_through(connection, query, at_once=_AT_ONCE):
        for row in rows:
            yield row["account"], known_from(row)
