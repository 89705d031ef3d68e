"""Deliveries whose rule has ended while they waited: `until` is asked once more before they go."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from service.outbox import ASKED_FOR
from service.rules import Ruleset
from service.store import Connection, tasks

UNTIL_IS_TRUE = "withdrawn: the rule's until is true"


async def withdraw(
    connection: Connection, claimed: Sequence[asyncpg.Record], rules: Ruleset, now: datetime
) -> frozenset[int]:
    """Cancel those of the deliveries just claimed whose rule has ended; returns their ids.

    This is the claim's own transaction: nobody has seen them being sent. The rewriting of a
    message that is out does not end, and neither does what a person has asked for.
    """
    asked = [row for row in claimed if row["rule"] in rules.with_until and _may_end(row)]
    if not asked:
        return frozenset()
    present = await tasks.present(connection, [(row["account"], row["task"]) for row in asked])
    ended = [
        row["id"]
        for row in asked
        if (task := present.get((row["account"], row["task"]))) is not None
        and rules.until(row["rule"], task, now)
    ]
    if ended:
        await connection.execute(
            """
            UPDATE deliveries SET state = 'cancelled', reason = $2, settled_at = $3,
                lease_until = NULL, attempts = attempts - 1
            WHERE id = ANY ($1)
            """,
            ended,
            UNTIL_IS_TRUE,
            now,
        )
    return frozenset(ended)


def _may_end(row: asyncpg.Record) -> bool:
    return row["updates"] is None and row["reason"] != ASKED_FOR
