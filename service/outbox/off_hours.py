"""Deliveries that come late to be sent, when their rule's hours are over.

They were planned for a moment inside of these, and then an attempt failed, somebody took their time
to approve them, a storm held them, or no worker was there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import asyncpg

from service.domain.model import State
from service.outbox import suppression
from service.outbox.suppression import may_be_held
from service.rules import Ruleset
from service.rules.planning import is_instead
from service.rules.timing import SendDecision
from service.store import Connection


async def hold_claimed(
    connection: Connection,
    claimed: Sequence[asyncpg.Record],
    rules: Ruleset,
    zones: Mapping[str, ZoneInfo],
    now: datetime,
) -> frozenset[int]:
    """Hold until they open, or skip, those of the deliveries just claimed; returns their ids.

    What goes out instead of something that has failed does so at any hour.
    """
    dispatches = {
        row["id"]: dispatch
        for row in claimed
        if row["account"] in zones and may_be_held(row) and not is_instead(row["once_key"])
        if (dispatch := rules.off_hours(row["rule"], now, row["expires_at"], zones[row["account"]]))
    }
    skipped = {number: one.reason or "" for number, one in dispatches.items() if _is_skipped(one)}
    await suppression.skip(connection, skipped, now)
    await _hold(
        connection, {number: one for number, one in dispatches.items() if not _is_skipped(one)}
    )
    return frozenset(dispatches)


def _is_skipped(dispatch: SendDecision) -> bool:
    return dispatch.state is State.SKIPPED


async def _hold(connection: Connection, dispatches: Mapping[int, SendDecision]) -> None:
    if not dispatches:
        return
    await connection.execute(
        """
        UPDATE deliveries SET state = 'held', reason = new.reason, lease_until = NULL,
            next_attempt_at = new.opening, attempts = attempts - 1, unread_since = NULL
        FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS new (id, reason, opening)
        WHERE deliveries.id = new.id
        """,
        list(dispatches),
        [one.reason for one in dispatches.values()],
        [one.send_at for one in dispatches.values()],
    )
    await suppression.end_with_task(connection, list(dispatches))
