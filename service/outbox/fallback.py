"""`on_fail`: the fallback delivery after a permanent failure.

It was rendered when the rule decided. It is planned in the transaction that records the failure,
and only once, however often the same failure is recorded.
"""

from collections.abc import Sequence
from datetime import datetime

from service.rules.verdict import FAILURE
from service.store import Connection


async def plan(connection: Connection, deliveries: Sequence[int], now: datetime) -> None:
    """Plan the `on_fail` of those of these deliveries that have failed.

    Deliveries that were cancelled because their channel is gone count as failed.
    """
    if not deliveries:
        return
    await connection.execute(
        """
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
            at_most_once, text, markup, subject, fields, attach, withdraw_on, state, reason,
            created_at, next_attempt_at, settled_at, expires_at, visit, announced, even_if_told,
            flood, tells_of, buttons)
        SELECT failed.account, failed.task, failed.event, failed.rule, instead.once_key,
            instead.step, instead.channel, instead.target, instead.lane, instead.at_most_once,
            replace(instead.text, $3, coalesce(failed.reason, '')),
            CASE strpos(instead.text, $3) WHEN 0 THEN instead.markup END,  -- else it has moved
            replace(instead.subject, $3, coalesce(failed.reason, '')),
            instead.fields, instead.attach, failed.withdraw_on, instead.state,
            coalesce(instead.reason, 'instead of message ' || failed.id || ', which failed'),
            $2, CASE instead.state WHEN 'planned' THEN $2::timestamptz END,
            CASE instead.state WHEN 'skipped' THEN $2::timestamptz END, failed.expires_at,
            instead.visit, instead.announced, coalesce(instead.even_if_told, false),
            instead.flood, instead.tells_of, instead.buttons
        FROM deliveries AS failed,
            jsonb_populate_recordset(NULL::deliveries, failed.on_fail) AS instead
        WHERE failed.id = ANY ($1) AND failed.state IN ('failed', 'cancelled')
        ON CONFLICT DO NOTHING
        """,
        deliveries,
        now,
        FAILURE,
    )
