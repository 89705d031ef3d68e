"""When the schedule of each rule is due next, in the database, so that each slot fires once."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from service.domain.schedules import NONE_TOGETHER, Schedule, Slot
from service.store import Connection, Pool

Schedules: TypeAlias = Mapping[tuple[str, str], Schedule]
"""By (rule, account)."""

# How far a clock may have been ahead for its slots to count as processed.
_A_LITTLE_AHEAD = timedelta(days=2)


async def put_in_force(
    connection: Pool | Connection, accounts: list[str], wanted: Schedules, now: datetime
) -> None:
    """Activate these schedules, and no others: those of the last started configuration count.

    A schedule that is new, or has another cron expression or zone, begins now: its past is not made
    up for.
    """
    rows = sorted(wanted.items())
    columns = (
        [rule for (rule, _), _ in rows],
        [account for (_, account), _ in rows],
    )
    await connection.execute(
        """
        DELETE FROM schedules WHERE account = ANY ($3) AND (rule, account) NOT IN (
            SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        *columns,
        accounts,
    )
    await connection.execute(
        """
        INSERT INTO schedules (rule, account, cron, zone, next_at)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
        ON CONFLICT (rule, account) DO UPDATE
        SET cron = excluded.cron, zone = excluded.zone, next_at = excluded.next_at
        WHERE (schedules.cron, schedules.zone) <> (excluded.cron, excluded.zone)
        """,
        *columns,
        [schedule.cron for _, schedule in rows],
        [schedule.zone.key for _, schedule in rows],
        [schedule.after(now) for _, schedule in rows],
    )


async def bring_forward(pool: Pool, wanted: Schedules, now: datetime) -> None:
    """Move schedules back that a clock far ahead of the time had postponed by as much."""
    rows = sorted(wanted.items())
    await pool.execute(
        """
        UPDATE schedules SET next_at = mine.next_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                    $6::timestamptz[]) AS mine (rule, account, cron, zone, next_at, latest)
        WHERE schedules.rule = mine.rule AND schedules.account = mine.account
          AND schedules.cron = mine.cron AND schedules.zone = mine.zone
          AND schedules.next_at > mine.latest
        """,
        [rule for (rule, _), _ in rows],
        [account for (_, account), _ in rows],
        [schedule.cron for _, schedule in rows],
        [schedule.zone.key for _, schedule in rows],
        [schedule.after(now) for _, schedule in rows],
        [schedule.after(now + _A_LITTLE_AHEAD) for _, schedule in rows],
    )


class PostgresSchedules:
    """`ScheduleRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def take(
        self, wanted: Schedules, now: datetime, together: Mapping[str, datetime] = NONE_TOGETHER
    ) -> Slot | None:
        row = await self._connection.fetchrow(
            """
            SELECT rule, account, next_at FROM schedules
            JOIN unnest($2::text[], $3::text[], $4::text[], $5::text[])
              AS mine (rule, account, cron, zone) USING (rule, account, cron, zone)
            LEFT JOIN unnest($6::text[], $7::timestamptz[]) AS joint (rule, until) USING (rule)
            WHERE next_at <= $1 AND CASE WHEN until IS NOT NULL THEN next_at <= until ELSE EXISTS (
                SELECT FROM accounts WHERE name = schedules.account AND baseline_at IS NOT NULL) END
            ORDER BY next_at, rule, account LIMIT 1 FOR UPDATE OF schedules SKIP LOCKED
            """,
            now,
            [rule for rule, _ in wanted],
            [account for _, account in wanted],
            [schedule.cron for schedule in wanted.values()],
            [schedule.zone.key for schedule in wanted.values()],
            list(together),
            list(together.values()),
        )
        if row is None:
            return None
        rule, account, due = row
        schedule = wanted[rule, account]
        await self._connection.execute(
            "UPDATE schedules SET next_at = $3 WHERE rule = $1 AND account = $2",
            rule,
            account,
            schedule.after(now),
        )
        return Slot(rule, account, schedule, due, schedule.latest(due, now))
