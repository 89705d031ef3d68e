"""Cancels deliveries whose channel or account was removed from the configuration.

The reason names what was removed. Each worker process announces which lanes its configuration has.
While one of them has a channel or an account, the others do not cancel its messages: a new
configuration reaches the processes of several hosts one after the other.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.outbox import fallback, writes_lane
from service.rules.verdict import Outcome
from service.store import Connection, Pool

# How long a lane is wanted by a process of which nothing is heard any more.
_WANTED = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class RemovedTargets:
    """Channels and accounts that no process has in its configuration any more."""

    channels: list[str]
    accounts: list[str]


async def announce_lanes(pool: Pool, process: str, lanes: Collection[str], now: datetime) -> None:
    """Announce the lanes that this process has configured; called several times a minute."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "DELETE FROM lanes WHERE process = $1 AND name <> ALL ($2) OR wanted_until < $3",
            process,
            list(lanes),
            now,
        )
        await connection.execute(
            """
            INSERT INTO lanes (name, process, wanted_until)
            SELECT name, $1, $3 FROM unnest($2::text[]) AS name
            ON CONFLICT (process, name) DO UPDATE SET wanted_until = excluded.wanted_until
            """,
            process,
            sorted(lanes),
            now + _WANTED,
        )


async def cancel_orphans(pool: Pool, now: datetime) -> None:
    """Cancel all pending deliveries for a channel or an account that no process has any more."""
    async with pool.acquire() as connection, connection.transaction():
        gone = await _gone(connection, now)
        await _end_outages(connection, now)
        if gone.channels or gone.accounts:
            await _cancel(connection, gone, now)
        if gone.accounts:
            await _end_waits(connection, gone.accounts, now)
            await _end_digests(connection, gone.accounts, now)
            await _end_storms(connection, gone.accounts, now)
            await _end_silences(connection, gone.accounts, now)
            await connection.execute(
                "DELETE FROM schedules WHERE account = ANY ($1)", gone.accounts
            )


async def _end_outages(connection: Connection, now: datetime) -> None:
    """Forget what is known of lanes that no process has any more: nobody tries them again."""
    await connection.execute(
        """
        DELETE FROM lane_outages
        WHERE lane NOT IN (SELECT name FROM lanes WHERE wanted_until >= $1)
        """,
        now,
    )


async def _gone(connection: Connection, now: datetime) -> RemovedTargets:
    """Channels with pending deliveries, and known accounts, that no process has announced."""
    rows = await connection.fetch(
        """
        WITH RECURSIVE used AS (
            (SELECT lane FROM deliveries WHERE state IN ('planned', 'held')
             ORDER BY lane LIMIT 1)
            UNION ALL
            SELECT (SELECT lane FROM deliveries
                    WHERE state IN ('planned', 'held') AND deliveries.lane > used.lane
                    ORDER BY lane LIMIT 1)
            FROM used WHERE used.lane IS NOT NULL)
        SELECT lane, NULL AS account FROM used WHERE lane NOT LIKE '%:%'
        UNION ALL
        SELECT 'account:' || name, name FROM accounts
        EXCEPT
        SELECT name, CASE WHEN name LIKE 'account:%' THEN substr(name, 9) END FROM lanes
        WHERE wanted_until >= $1
        """,
        now,
    )
    return RemovedTargets(
        channels=[row["lane"] for row in rows if row["account"] is None],
        accounts=[row["account"] for row in rows if row["account"] is not None],
    )


async def _cancel(connection: Connection, gone: RemovedTargets, now: datetime) -> None:
    """Cancel their messages, and writes to them that tasks of other accounts have caused.

    If only the channel is gone, `on_fail` is sent instead.
    """
    rows = await connection.fetch(
        """
        UPDATE deliveries SET state = 'cancelled', settled_at = $3, next_attempt_at = NULL,
            reason = CASE WHEN account = ANY ($2) THEN 'account ' || account
                          WHEN lane = ANY ($4) THEN 'account ' || target
                          ELSE 'channel ' || lane END
                     || ' is no longer in the configuration'
        WHERE state IN ('planned', 'held')
          AND (lane = ANY ($1) OR account = ANY ($2) OR lane = ANY ($4))
        RETURNING id, shadow OR account = ANY ($2) AS is_over
        """,
        gone.channels,
        gone.accounts,
        now,
        [writes_lane(account) for account in gone.accounts],
    )
    await fallback.plan(connection, [row["id"] for row in rows if not row["is_over"]], now)


async def _end_waits(connection: Connection, accounts: list[str], now: datetime) -> None:
    await connection.execute(
        f"""
        WITH ended AS (DELETE FROM waits WHERE account = ANY ($1) RETURNING *)
        {_ON_RECORD}
        """,
        accounts,
        Outcome.GIVEN_UP,
        now,
    )


async def _end_digests(connection: Connection, accounts: list[str], now: datetime) -> None:
    await connection.execute(
        f"""
        WITH ended AS (DELETE FROM digests WHERE account = ANY ($1) RETURNING *)
        {_ON_RECORD}
        """,
        accounts,
        Outcome.GIVEN_UP,
        now,
    )


# Records the end of a wait or digest, which would leave no other record.
_ON_RECORD = """
    INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)
    SELECT event, rule,
        coalesce((SELECT version FROM rulesets ORDER BY loaded_at DESC, version LIMIT 1), ''),
        $2, 'account ' || account || ' is no longer in the configuration', $3
    FROM ended
"""


async def _end_storms(connection: Connection, accounts: list[str], now: datetime) -> None:
    await connection.execute(
        """
        UPDATE storms SET ended_at = $2,
            ended_by = 'the configuration, which no longer has account ' || account
        WHERE account = ANY ($1) AND ended_at IS NULL
        """,
        accounts,
        now,
    )


async def _end_silences(connection: Connection, accounts: list[str], now: datetime) -> None:
    """End their silences, except those that were added since, for something that will return."""
    await connection.execute(
        """
        UPDATE silences SET ends_at = $2, reason = silences.reason
            || '; ended: account ' || account || ' is no longer in the configuration'
        FROM accounts
        WHERE account = name AND name = ANY ($1) AND ends_at > $2
          AND made_at <= coalesce(watched_until, 'infinity')
        """,
        accounts,
        now,
    )
