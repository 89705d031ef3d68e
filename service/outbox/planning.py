"""Deliveries are planned, withdrawn and taken back, in the transaction of what caused it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson

from service.model import Event, Observation, State
from service.outbox import Lanes, Order
from service.store import Connection
from service.store.tasks import Key


async def place(
    connection: Connection, orders: Sequence[Order], now: datetime
) -> set[tuple[str, int, str, str]]:
    """Store the orders; what the same rule already sent for the same reason is left out.

    What was skipped, withdrawn or came too late was not sent, and stands in nobody's way.

    Returns (rule, step, once_key, target) of what was really placed.
    """
    rows = await connection.fetch(
        """
        INSERT INTO deliveries (account, task, event, rule, lane, at_most_once, once_key, step,
            channel, target, text, subject, fields, on_undo, withdraw_on, state, reason,
            created_at, next_attempt_at, expires_at, settled_at)
        SELECT account, task, event, rule, lane, at_most_once, once_key, step,
            channel, target, text, subject, fields, on_undo, withdraw_on, state, reason,
            created_at, next_attempt_at, expires_at, settled_at
        FROM json_populate_recordset(NULL::deliveries, $1)
        ORDER BY rule, once_key, step, target  -- so that two transactions meet in one order
        ON CONFLICT (rule, once_key, step, target)
            WHERE state NOT IN ('skipped', 'cancelled', 'expired') DO NOTHING
        RETURNING rule, step, once_key, target
        """,
        orjson.dumps([_row(order, now) for order in orders]).decode(),
    )
    return {tuple(row) for row in rows}


def _row(order: Order, now: datetime) -> dict[str, Any]:
    """A delivery as it begins, by the columns of its table."""
    event, plan = order.event, order.plan
    is_skipped = plan.state is State.SKIPPED
    return {
        "account": event.account,
        "task": event.task_id,
        "event": event.id,
        "rule": order.rule,
        "lane": order.lane,
        "at_most_once": order.at_most_once,
        "once_key": plan.once_key,
        "step": plan.step,
        "channel": plan.channel,
        "target": plan.target,
        "text": plan.text,
        "subject": plan.subject,
        "fields": plan.fields,
        "on_undo": plan.on_undo,
        "withdraw_on": sorted(plan.withdraw_on),
        "state": plan.state,
        "reason": plan.reason,
        "created_at": now,
        "next_attempt_at": None if is_skipped else plan.send_at,
        "expires_at": plan.expires_at,
        "settled_at": now if is_skipped else None,
    }


async def withdraw(connection: Connection, events: Sequence[Event], now: datetime) -> None:
    """Cancel what is not sent yet and what one of these events has made pointless.

    What is to be rewritten when it is undone, and may have arrived by an attempt whose answer
    was lost, is left to `take_back`.
    """
    await connection.execute(
        """
        UPDATE deliveries SET state = 'cancelled', settled_at = $1, next_attempt_at = NULL,
            reason = 'withdrawn: the task was ' || news.kind
        FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
          AS news (account, task, id, kind)
        WHERE deliveries.account = news.account AND deliveries.task = news.task
          AND state IN ('planned', 'held') AND news.kind = ANY (withdraw_on)
          AND deliveries.event < news.id AND (on_undo IS NULL OR attempts = 0)
        """,
        now,
        [event.account for event in events],
        [event.task_id for event in events],
        [event.id for event in events],
        [event.kind for event in events],
    )


async def pending(
    connection: Connection, keys: Iterable[tuple[str, str]], rules: Iterable[str]
) -> list[tuple[int, str, str, str]]:
    """What these rules have not sent yet about these tasks: (id, rule, account, task).

    The rewriting of a message that is out is not among it.
    """
    wanted = list(keys)
    rows = await connection.fetch(
        """
        SELECT id, rule, account, task FROM deliveries
        JOIN unnest($1::text[], $2::text[]) AS wanted (account, task) USING (account, task)
        WHERE state IN ('planned', 'held') AND rule = ANY ($3) AND updates IS NULL
        ORDER BY id FOR UPDATE OF deliveries
        """,
        [account for account, _ in wanted],
        [task for _, task in wanted],
        list(rules),
    )
    return [tuple(row) for row in rows]


async def cancel_all(
    connection: Connection, ids: Sequence[int], reason: str, now: datetime
) -> None:
    """Cancel deliveries that this transaction has locked."""
    await connection.execute(
        """
        UPDATE deliveries SET state = 'cancelled', reason = $2, settled_at = $3,
            next_attempt_at = NULL
        WHERE id = ANY ($1) AND state IN ('planned', 'held')
        """,
        ids,
        reason,
        now,
    )


async def take_back(connection: Connection, events: Sequence[Event], now: datetime) -> Lanes:
    """Plan the rewriting of messages whose cause one of these events undoes; returns the lanes.

    A completion is undone by a reopening, a creation by a deletion.
    """
    rows = await connection.fetch(
        """
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
            at_most_once, text, subject, updates, state, created_at, next_attempt_at)
        SELECT sent.account, sent.task, news.id, sent.rule, 'undo:' || sent.id, sent.step,
            sent.channel, sent.target, sent.lane, sent.at_most_once,
            'Taken back (' || news.kind || '): ' || sent.text, sent.subject, sent.id, 'planned',
            $1, $1
        FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
               AS news (account, task, id, kind)
        JOIN deliveries AS sent ON sent.account = news.account AND sent.task = news.task
             AND sent.on_undo = 'update' AND sent.attempts > 0
             AND sent.state IN ('planned', 'sending', 'sent')
             AND sent.event < news.id
        JOIN events ON events.id = sent.event
        WHERE (events.kind, news.kind) IN (('completed', 'reopened'), ('created', 'deleted'))
        ON CONFLICT (rule, once_key, step, target)
            WHERE state NOT IN ('skipped', 'cancelled', 'expired') DO NOTHING
        RETURNING lane
        """,
        now,
        [event.account for event in events],
        [event.task_id for event in events],
        [event.id for event in events],
        [event.kind for event in events],
    )
    return frozenset(row["lane"] for row in rows)


async def writes_under_way(
    connection: Connection, seen: Sequence[Observation]
) -> dict[Key, frozenset[str]]:
    """Those of the tasks seen that Taskbell itself is writing, and the fields that it writes.

    A write counts from its first attempt until the task was read back. The id of a task that is
    just being created is not known yet: it is recognised by its title.
    """
    looks = [(look.account, look.task_id, look.task) for look in seen]
    rows = await connection.fetch(
        """
        WITH seen AS (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[])
                      AS seen (account, task, title))
        SELECT account, task, written FROM lookups JOIN seen USING (account, task)
        WHERE cause = 'write'
        UNION ALL
        SELECT account, task, CASE channel WHEN 'complete_task' THEN ARRAY['done']
               ELSE ARRAY(SELECT jsonb_object_keys(fields)) END
        FROM deliveries JOIN seen USING (account, task)
        WHERE state IN ('planned', 'sending') AND attempts > 0
          AND channel IN ('update_task', 'complete_task')
        UNION ALL
        SELECT account, seen.task, '{}' FROM deliveries JOIN seen USING (account)
        WHERE state IN ('planned', 'sending') AND attempts > 0 AND channel = 'create_task'
          AND fields ->> 'title' = seen.title
        """,
        [account for account, _, _ in looks],
        [task_id for _, task_id, _ in looks],
        ["" if task is None else task.title for _, _, task in looks],
    )
    written: dict[Key, frozenset[str]] = {}
    for row in rows:
        key = (row["account"], row["task"])
        written[key] = written.get(key, frozenset()) | frozenset(row["written"])
    return written
