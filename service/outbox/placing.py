"""Deliveries are planned, and messages taken back, in the transaction of what caused it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from service.domain.model import Event, State
from service.outbox import DeliveryRequest, Identity, Lanes, question, silences, suppression
from service.outbox.cancellation import UNDOING, UNDONE, is_done_again
from service.outbox.gates import Stop, Stops
from service.rules.verdict import Plan
from service.store import Connection


async def place(
    connection: Connection, orders: Sequence[DeliveryRequest], now: datetime
) -> set[Identity]:
    """Store the orders; what the same rule already sent for the same reason is left out.

    What was skipped, withdrawn or came too late was not sent, and does not count. A rule
    on trial keeps count for itself (the indexes `deliveries_once` and `deliveries_on_trial`). What
    is silenced now is skipped.

    Returns (rule, step, once_key, target) of what was really placed.
    """
    rows = await _insert(connection, [row_of(order, now) for order in orders], now)
    silenced = _silenced(rows, orders, now)
    await suppression.stop(connection, silenced, now)
    if any(order.asks for order in orders):
        placed = [row for row in rows if row["id"] not in silenced]
        await _ask(connection, placed, orders, now)
    return {_identity(row) for row in rows}


async def placed_before(connection: Connection, orders: Sequence[DeliveryRequest]) -> set[Identity]:
    """Those of the orders that their rule has placed already."""
    rows = await connection.fetch(
        """
        SELECT rule, step, once_key, target FROM deliveries
        JOIN unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::boolean[])
          AS wanted (rule, step, once_key, target, shadow)
          USING (rule, step, once_key, target, shadow)
        WHERE state NOT IN ('cancelled', 'expired') AND (shadow OR state <> 'skipped')
        """,
        [one.rule for one in orders],
        [one.plan.step for one in orders],
        [one.plan.once_key for one in orders],
        [one.plan.target for one in orders],
        [one.shadow for one in orders],
    )
    return {tuple(row) for row in rows}


async def _ask(
    connection: Connection,
    placed: Sequence[asyncpg.Record],
    orders: Sequence[DeliveryRequest],
    now: datetime,
) -> None:
    """Place the questions to those who have to approve something of this."""
    by_identity = _by_identity(orders)
    questions = [
        row_of(asks, now) | {"approves": row["id"]}
        for row in placed
        if (asks := question(by_identity[row["event"], *_identity(row)], row["id"])) is not None
    ]
    await _insert(connection, questions, now)


async def _insert(
    connection: Connection, rows: Sequence[Mapping[str, Any]], now: datetime
) -> list[asyncpg.Record]:
    """Store deliveries, each by the columns of its table; returns those that are new."""
    return await connection.fetch(
        f"""
        INSERT INTO deliveries (account, task, event, rule, lane, at_most_once, once_key, step,
            channel, target, text, subject, fields, on_undo, withdraw_on, on_fail,
            shadow, limited_at, state, reason, created_at, next_attempt_at, expires_at, settled_at,
            approver, approve_by, send_at, approves, muted_by, mutes, visit,
            announced, even_if_told, flood, tells_of)
        SELECT account, task, event, rule, lane, at_most_once, once_key, step,
            channel, target, text, subject, fields, on_undo, withdraw_on, on_fail,
            shadow, limited_at, state, reason, created_at, next_attempt_at, expires_at, settled_at,
            approver, approve_by, send_at, approves, muted_by, mutes, visit,
            announced, even_if_told, flood, tells_of
        FROM json_populate_recordset(NULL::deliveries, $1)
        ORDER BY rule, once_key, step, target  -- so that two transactions meet in one order
        ON CONFLICT DO NOTHING
        RETURNING id, event, rule, step, once_key, target, {silences.IN_FORCE}
        """,
        orjson.dumps(rows).decode(),
        now,
    )


def _silenced(
    placed: Sequence[asyncpg.Record], orders: Sequence[DeliveryRequest], now: datetime
) -> Stops:
    """What was just placed and is silenced."""
    found = silences.in_force(placed)
    if not found:
        return {}
    by_identity = _by_identity(orders)
    refused = {}
    for row in placed:
        order = by_identity[row["event"], *_identity(row)]
        if (reason := silences.refusal_of(found, order, now)) is not None:
            refused[row["id"]] = Stop(State.SKIPPED, reason)
    return refused


def _by_identity(orders: Sequence[DeliveryRequest]) -> dict[tuple[int, *Identity], DeliveryRequest]:
    return {(order.event.id, *order.identity): order for order in orders}


def _identity(row: asyncpg.Record) -> Identity:
    return row["rule"], row["step"], row["once_key"], row["target"]


def row_of(order: DeliveryRequest, now: datetime) -> dict[str, Any]:
    """A delivery as it begins, by the columns of its table."""
    event, plan = order.event, order.plan
    return {
        "account": event.account,
        "task": event.task_id,
        "event": event.id,
        "rule": order.rule,
        **_message(order),
        "on_undo": plan.on_undo,
        "withdraw_on": sorted(plan.withdraw_on),
        "on_fail": [_instead(one) for one in order.on_fail] or None,
        "shadow": order.shadow,
        "limited_at": plan.send_at if order.is_limited else None,
        "state": plan.state,
        "reason": plan.reason,
        "created_at": now,
        "next_attempt_at": None if order.is_over else plan.send_at,
        "expires_at": plan.expires_at,
        "settled_at": now if order.is_over else None,
        "send_at": plan.send_at if plan.tells_of is not None else None,
        **_approval(plan),
        **({} if order.is_over else _muting(plan)),
    }


def _muting(plan: Plan) -> dict[str, Any]:
    if plan.muted_by is None and not plan.mutes:
        return {}
    return {"muted_by": plan.muted_by, "mutes": plan.mutes or None}


def _approval(plan: Plan) -> dict[str, Any]:
    """What waits for its approval has nothing to do until then but to be given up."""
    if plan.asks is None:
        return {}
    open_until = plan.asks.expires_at
    return {
        "approver": plan.approver,
        "approve_by": open_until,
        "next_attempt_at": open_until,
        "send_at": plan.send_at,
    }


def _instead(order: DeliveryRequest) -> dict[str, Any]:
    """What is planned when another delivery has failed, by the columns of the table."""
    is_skipped = order.plan.state is State.SKIPPED
    return {
        **_message(order),
        "state": State.SKIPPED if is_skipped else State.PLANNED,
        "reason": order.plan.reason if is_skipped else None,
    }


def _message(order: DeliveryRequest) -> dict[str, Any]:
    """What is sent, to whom, and by what way."""
    plan = order.plan
    return {
        "lane": order.lane,
        "at_most_once": order.at_most_once,
        "once_key": plan.once_key,
        "step": plan.step,
        "channel": plan.channel,
        "target": plan.target,
        "text": plan.text,
        "subject": plan.subject,
        "fields": plan.fields,
        "flood": order.flood and order.flood.key,
        "visit": plan.visit and plan.visit.key,
        "announced": plan.visit and plan.visit.announced,
        "even_if_told": plan.even_if_told,
        "tells_of": plan.tells_of and orjson.Fragment(plan.tells_of.to_json()),
    }


async def take_back(connection: Connection, events: Sequence[Event], now: datetime) -> Lanes:
    """Plan the taking back of messages whose cause one of these events undoes; returns the lanes.

    A completion is undone by a reopening, a creation by a deletion, and that if the task is there
    again. What is taken back stands in nobody's way any more: when it happens again it is announced
    anew.
    """
    undoing = [event for event in events if event.kind in UNDOING]
    if not undoing:
        return frozenset()
    rows = await connection.fetch(
        f"""
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
            at_most_once, text, subject, updates, state, created_at, next_attempt_at)
        SELECT sent.account, sent.task, news.id, sent.rule, 'undo:' || sent.id, sent.step,
            sent.channel, sent.target, sent.lane, sent.at_most_once,
            'No longer true (task was ' || news.kind || '): ' || sent.text, sent.subject, sent.id,
            'planned', $1, $1
        FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
               AS news (account, task, id, kind)
        JOIN deliveries AS sent ON sent.account = news.account AND sent.task = news.task
             AND sent.on_undo IS NOT NULL AND sent.attempts > 0
             AND sent.state IN ('planned', 'held', 'sending', 'sent')
             AND sent.event < news.id
        JOIN events ON events.id = sent.event
        WHERE (events.kind, news.kind) IN (SELECT * FROM unnest($6::text[], $7::text[]))
          AND NOT (news.kind = 'reopened' AND {is_done_again("sent", "news")})
        ON CONFLICT DO NOTHING
        RETURNING lane, updates
        """,
        now,
        [event.account for event in undoing],
        [event.task_id for event in undoing],
        [event.id for event in undoing],
        [event.kind for event in undoing],
        *zip(*UNDONE, strict=True),
    )
    if rows:
        await connection.execute(
            "UPDATE deliveries SET once_key = once_key || '/undone:' || id WHERE id = ANY ($1)",
            [row["updates"] for row in rows],
        )
    return frozenset(row["lane"] for row in rows)


async def limited(
    connection: Connection, rule: str, begin: datetime, end: datetime, *, shadow: bool
) -> list[datetime]:
    """When the messages that this rule has planned go out, from `begin` to `end`.

    Takes a lock until the end of the transaction, so that no other process plans messages of the
    same rule meanwhile. Callers go through rules in the order of their names, or two transactions
    could wait for each other for ever.
    """
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('limit of ' || $1, 0))", rule
    )
    rows = await connection.fetch(
        """
        SELECT limited_at FROM deliveries
        WHERE rule = $1 AND limited_at BETWEEN $2 AND $3 AND shadow = $4
          AND state NOT IN ('cancelled', 'expired') AND (shadow OR state <> 'skipped')
        """,
        rule,
        begin,
        end,
        shadow,
    )
    return [row["limited_at"] for row in rows]
