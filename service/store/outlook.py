"""What is still to come, as a change of the configuration would find it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from service.store import Connection, Pool
from service.store.tasks import Known, known_from

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Waits:
    """So many tasks of an account of which a rule waits that they become quiet."""

    rule: str
    account: str
    count: int


@dataclass(frozen=True, slots=True)
class Deliveries:
    """So many messages of a rule that are planned or held on a lane."""

    rule: str
    lane: str
    count: int


async def watched(pool: Pool, within: timedelta) -> dict[str, ZoneInfo | None]:
    """The accounts of the configuration in force, and the zones in which the clock is read.

    In force is what a worker said last that it wants, and others said `within` that time before.
    """
    rows = await pool.fetch(
        """
        SELECT name, zone FROM accounts LEFT JOIN watches ON watches.id = accounts.watch
        WHERE watched_until >= (SELECT max(watched_until) FROM accounts) - $1::interval
        ORDER BY name
        """,
        within,
    )
    return {row["name"]: ZoneInfo(row["zone"]) if row["zone"] else None for row in rows}


async def waits(pool: Pool) -> list[Waits]:
    rows = await pool.fetch(
        "SELECT rule, account, count(*) FROM settling GROUP BY rule, account ORDER BY rule, account"
    )
    return [Waits(**row) for row in rows]


async def deliveries(pool: Pool) -> list[Deliveries]:
    rows = await pool.fetch(
        """
        SELECT rule, lane, count(*) FROM deliveries WHERE state IN ('planned', 'held')
        GROUP BY rule, lane ORDER BY rule, lane
        """
    )
    return [Deliveries(**row) for row in rows]


async def count_tasks(pool: Pool) -> int:
    """How many tasks there are to read, about."""
    found: int = await pool.fetchval(
        "SELECT count(*) FROM tasks WHERE snapshot IS NOT NULL AND deleted_at IS NULL"
    )
    return found


async def tasks(connection: Connection) -> AsyncIterator[tuple[str, Known]]:
    """Every task that is there, with its account; a transaction has to be open."""
    rows = connection.cursor(
        """
        SELECT account, snapshot, deleted_at, version, observed_at, fingerprint, rung, watch
        FROM tasks WHERE snapshot IS NOT NULL AND deleted_at IS NULL
        """,
        prefetch=_AT_ONCE,
    )
    async for row in rows:
        yield row["account"], known_from(row)
