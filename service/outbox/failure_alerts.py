"""Alerts about failed messages, one for all with a few examples, and about channels that fail."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from service.domain.operators.buttons import NO_RULES
from service.outbox.alerts import (
    CHANNEL,
    CHANNEL_WORKING,
    HICCUP,
    UNSENT,
    OperatorAddress,
    local_time,
    plan,
)
from service.store import Connection

# The operator hears of messages that failed no more often than this, of all at once.
PAUSE = timedelta(minutes=5)
_EXAMPLES = 3
_LONGEST_REASON = 200


async def alert_unsent(
    connection: Connection, names: Sequence[str], address: OperatorAddress, now: datetime
) -> int:
    """Alert about messages that failed or whose outcome is unknown; returns how many.

    One alert covers all, with a few examples, and is not repeated within `PAUSE`. Messages to the
    operator are excluded: otherwise a failed alert would cause the next one.
    """
    told_at = await connection.fetchrow("SELECT told_at FROM operator FOR UPDATE SKIP LOCKED")
    if told_at is None or _is_recent(told_at["told_at"], now):
        return 0
    rows = await connection.fetch(
        """
        UPDATE deliveries SET operator_told_at = $2 WHERE id IN (
            SELECT id FROM deliveries
            WHERE state IN ('failed', 'unknown') AND acknowledged_at IS NULL
              AND operator_told_at IS NULL AND (event IS NOT NULL OR task <> '')
              AND account = ANY ($1)
            FOR UPDATE SKIP LOCKED)
        RETURNING id, account, rule, state, reason,
            concat_ws(':', channel, nullif(target, '')) AS receiver
        """,
        names,
        now,
    )
    if rows:
        await connection.execute("UPDATE operator SET told_at = $1", now)
        about = {"name": "", "since": now}
        await plan(connection, UNSENT, about, _unsent(rows, address), address, now)
    return len(rows)


async def alert_channels(connection: Connection, address: OperatorAddress, now: datetime) -> int:
    """Alert about channels through which nothing could be sent for a while; returns how many.

    Of the operator's own channel nothing can be said through it.
    """
    rows = await connection.fetch(
        """
        UPDATE lane_outages SET told_at = $2 WHERE lane IN (
            SELECT lane FROM lane_outages
            WHERE told_at IS NULL AND since <= $1 AND lane <> $3 FOR UPDATE SKIP LOCKED)
        RETURNING lane AS name, since, reason
        """,
        now - HICCUP,
        now,
        address.channel,
    )
    for row in rows:
        text = (
            f"Taskbell has been unable to send through {row['name']} since"
            f" {local_time(row['since'], address)}: {row['reason']}.\n"
            "It tries again at least once a minute. The messages wait, and are sent as soon as it"
            " works. What to do: see"
            f" {address.screen('Connections', '/connections')} (developers: `taskbell doctor`)."
        )
        await plan(connection, CHANNEL, row, text, address, now)
    return len(rows)


async def alert_working_channels(
    connection: Connection, address: OperatorAddress, now: datetime
) -> int:
    """Report that channels work again, if their failure was reported; returns how many."""
    rows = await connection.fetch(
        """
        DELETE FROM lane_recoveries WHERE (lane, since) IN (
            SELECT lane, since FROM lane_recoveries FOR UPDATE SKIP LOCKED)
        RETURNING lane AS name, since, ended
        """
    )
    for row in rows:
        text = (
            f"Taskbell can send through {row['name']} again. The interruption lasted from"
            f" {local_time(row['since'], address)} to {local_time(row['ended'], address)}.\nThe"
            " messages that waited are being sent."
        )
        await plan(connection, CHANNEL_WORKING, row, text, address, now)
    return len(rows)


def _is_recent(told_at: datetime | None, now: datetime) -> bool:
    return told_at is not None and now - PAUSE < told_at <= now


def _unsent(rows: Sequence[asyncpg.Record], address: OperatorAddress) -> str:
    """How many messages failed, and the first few of them with the reason."""
    ordered = sorted(rows, key=lambda row: row["id"])
    failed = sum(row["state"] == "failed" for row in ordered)
    counts = [(failed, "failed"), (len(ordered) - failed, "may or may not have arrived")]
    said = " and ".join(f"{_messages(count)} {what}" for count, what in counts if count)
    examples = [
        f"- message {row['id']}: {_origin(row)} (account {row['account']}):"
        f" {(row['reason'] or row['state'])[:_LONGEST_REASON]}"
        for row in ordered[:_EXAMPLES]
    ]
    more = len(ordered) - len(examples)
    if more:
        examples.append(f"- and {more} more")
    where = f"To decide, open {address.screen('Today', '/')}. (Developers: `taskbell outbox list`)"
    return "\n".join([f"{said}.", *examples, where])


def _origin(row: asyncpg.Record) -> str:
    if row["rule"] in NO_RULES:
        return f"{row['receiver']}, which a person asked for"
    return f'rule "{row["rule"]}" to {row["receiver"]}'


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
