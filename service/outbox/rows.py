"""Deliveries as rows of their table: new deliveries, and claimed deliveries."""

from datetime import datetime
from typing import Any

import asyncpg
import orjson

from service.channels import JSON, Message
from service.domain.model import Event, Group, State
from service.outbox import Claim, DeliveryRequest
from service.outbox.gates import Candidate
from service.rules.revision import MessageBasis
from service.rules.verdict import Plan
from service.store.events import event_from
from service.store.tasks import read_task


def row_of(request: DeliveryRequest, now: datetime) -> dict[str, Any]:
    event, plan = request.event, request.plan
    return {
        "account": event.account,
        "task": event.task_id,
        "event": event.id,
        "rule": request.rule,
        **_message(request),
        "on_undo": plan.on_undo,
        "withdraw_on": sorted(plan.withdraw_on),
        "on_fail": [_instead(one) for one in request.on_fail] or None,
        "shadow": request.shadow,
        "limited_at": plan.send_at if request.is_limited else None,
        "state": plan.state,
        "reason": plan.reason,
        "created_at": now,
        "next_attempt_at": None if request.is_over else plan.send_at,
        "expires_at": plan.expires_at,
        "settled_at": now if request.is_over else None,
        "send_at": plan.send_at if plan.tells_of is not None else None,
        **_approval(plan),
        **({} if request.is_over else _muting(plan)),
    }


def _muting(plan: Plan) -> dict[str, Any]:
    if plan.muted_by is None and not plan.mutes:
        return {}
    return {"muted_by": plan.muted_by, "mutes": plan.mutes or None}


def _approval(plan: Plan) -> dict[str, Any]:
    """When a delivery that waits for approval is due: not before it expires without an answer."""
    if plan.asks is None:
        return {}
    open_until = plan.asks.expires_at
    return {
        "approver": plan.approver,
        "approve_by": open_until,
        "next_attempt_at": open_until,
        "send_at": plan.send_at,
    }


def _instead(request: DeliveryRequest) -> dict[str, Any]:
    """The delivery that is planned when another one has failed, by the columns of the table."""
    is_skipped = request.plan.state is State.SKIPPED
    return {
        **_message(request),
        "state": State.SKIPPED if is_skipped else State.PLANNED,
        "reason": request.plan.reason if is_skipped else None,
    }


def _message(request: DeliveryRequest) -> dict[str, Any]:
    """The message, its receiver and its channel."""
    plan = request.plan
    return {
        "lane": request.lane,
        "at_most_once": request.at_most_once,
        "once_key": plan.once_key,
        "step": plan.step,
        "channel": plan.channel,
        "target": plan.target,
        "text": plan.text,
        "subject": plan.subject,
        "fields": plan.fields,
        "flood": request.flood and request.flood.key,
        "visit": plan.visit and plan.visit.key,
        "announced": plan.visit and plan.visit.announced,
        "even_if_told": plan.even_if_told,
        "tells_of": plan.tells_of and orjson.Fragment(plan.tells_of.to_json()),
    }


def claim_of(
    row: asyncpg.Record, candidate: Candidate, others: frozenset[str], turn: datetime | None
) -> Claim:
    """The claim of a delivery that is due; `others` as in `Message`, `turn` as in `Claim`."""
    kind, at, event = _happened(row)
    message = Message(
        key=str(row["key"]),
        channel=row["channel"],
        target=row["target"],
        text=row["text"],
        subject=row["subject"],
        fields=_parsed(row["fields"]),
        account=row["account"],
        task_id=row["task"],
        rule=row["rule"],
        type=kind,
        at=at,
        event=event,
        task=_fragment(row["after"] or row["before"]) if row["task"] else None,
        before=_fragment(row["before"]) if row["task"] else None,
        receipt=_parsed(row["receipt"]),
        undo=row["undo"],
        others=others,
    )
    original = None if row["original"] is None else State(row["original"])
    approves = None if row["approves"] is None else (row["approves"], row["approves_key"])
    return Claim(
        row["id"],
        row["attempts"] + 1,
        row["unsent"],
        row["at_most_once"],
        row["updates"],
        original,
        message,
        candidate,
        row["created_at"],
        approves,
        _grounds(row) if candidate.reaches_customer else None,
        row["unread_since"],
        row["trace"],
        turn=turn,
    )


def _grounds(row: asyncpg.Record) -> MessageBasis | None:
    """The facts that a message to a customer depends on; None if it is about no single task."""
    if row["tells_of"] is not None:
        return _grounds_of(row, event_from(row, None, None), Group.from_json(row["tells_of"]))
    if not row["task"]:
        return None
    event = event_from(row, read_task(row["before"]), read_task(row["after"]))
    return _grounds_of(row, event, None)


def _grounds_of(row: asyncpg.Record, event: Event, tells_of: Group | None) -> MessageBasis:
    return MessageBasis(
        event=event,
        rule=row["rule"],
        channel=row["channel"],
        target=row["target"],
        decided_at=row["created_at"],
        is_asked_for=row["asked_for"],
        expires_at=row["expires_at"],
        unread_since=row["unread_since"],
        text=row["text"],
        subject=row["subject"],
        is_approved=row["approver"] is not None,
        was_tried=row["attempts"] + row["unsent"] > 0,
        tells_of=tells_of,
        step=row["step"],
        once_key=row["once_key"],
        due_at=row["send_at"],
    )


def _happened(row: asyncpg.Record) -> tuple[str, datetime, JSON]:
    """What the message is about: its type, when it happened (UTC), and the event as in the API.

    A message to the operator has no event: its type is the name of Taskbell's own rule.
    """
    if row["event"] is None:
        happened = {"account": row["account"], "kind": row["rule"], "at": row["created_at"]}
        return row["rule"], row["created_at"], happened
    names = ("account", "task", "kind", "at", "cause")
    event = {"id": row["event"], **{name: row[name] for name in names}}
    return f"task.{row['kind']}", row["at"], event


def _fragment(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


def _parsed(text: str | None) -> dict[str, Any] | None:
    return None if text is None else orjson.loads(text)
