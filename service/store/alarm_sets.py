"""The active alarm set of each account, and the tasks that still use an outdated one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import orjson

from service.domain.alarm_sets import AlarmSet
from service.store import Connection, Pool


@dataclass(frozen=True, slots=True)
class OutdatedAlarmSet:
    """Tasks of `account` still use `alarm_set`, with this `id`, which was replaced at `since`."""

    account: str
    id: str
    alarm_set: AlarmSet
    since: datetime


async def put_in_force(
    pool: Pool, alarm_sets: Mapping[str, AlarmSet], now: datetime, until: datetime
) -> None:
    """Activate these alarm sets: those of the configuration that was started last are active."""
    await _keep(pool, alarm_sets)
    await _hold(pool, alarm_sets, now, until, newest=True)


async def keep_in_force(
    pool: Pool, alarm_sets: Mapping[str, AlarmSet], now: datetime, until: datetime
) -> None:
    """Renew the alarm sets; they also replace those that are no longer renewed."""
    await _hold(pool, alarm_sets, now, until, newest=False)


async def outdated(
    connection: Connection, alarm_sets: Mapping[str, AlarmSet]
) -> OutdatedAlarmSet | None:
    """One account in which these are active and tasks still use an outdated alarm set."""
    row = await connection.fetchrow(
        """
        SELECT account, other.watch, alarms, zone, watched_since
        FROM unnest($1::text[], $2::text[]) AS mine (account, id)
        JOIN accounts ON accounts.name = mine.account AND accounts.watch = mine.id,
        LATERAL (
            (SELECT watch FROM tasks WHERE account = mine.account AND watch < mine.id LIMIT 1)
            UNION ALL
            (SELECT watch FROM tasks WHERE account = mine.account AND watch > mine.id LIMIT 1)
        ) AS other
        JOIN alarm_sets ON alarm_sets.id = other.watch
        LIMIT 1
        """,
        list(alarm_sets),
        [alarm_set.id for alarm_set in alarm_sets.values()],
    )
    if row is None:
        return None
    zone = ZoneInfo(row["zone"]) if row["zone"] else alarm_sets[row["account"]].zone
    alarm_set = AlarmSet.from_rows(orjson.loads(row["alarms"]), zone)
    return OutdatedAlarmSet(row["account"], row["watch"], alarm_set, row["watched_since"])


async def _keep(pool: Pool, alarm_sets: Mapping[str, AlarmSet]) -> None:
    await pool.executemany(
        "INSERT INTO alarm_sets (id, zone, alarms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        [
            (alarm_set.id, alarm_set.zone.key, orjson.dumps(alarm_set.rows()).decode())
            for alarm_set in sorted(alarm_sets.values(), key=lambda alarm_set: alarm_set.id)
        ],
    )


async def _hold(
    pool: Pool, alarm_sets: Mapping[str, AlarmSet], now: datetime, until: datetime, *, newest: bool
) -> None:
    """Renew the alarm sets of the accounts, locked in one order to avoid deadlocks."""
    await pool.execute(
        """
        WITH mine AS (
            SELECT name, id FROM accounts
            JOIN unnest($1::text[], $2::text[]) AS mine (name, id) USING (name)
            WHERE $5 OR watch = id OR watched_until < $3
            ORDER BY name FOR UPDATE OF accounts)
        UPDATE accounts SET watch = id, watched_until = $4,
            watched_since = CASE WHEN watch = id THEN watched_since ELSE $3 END
        FROM mine WHERE accounts.name = mine.name
        """,
        list(alarm_sets),
        [alarm_set.id for alarm_set in alarm_sets.values()],
        now,
        until,
        newest,
    )
