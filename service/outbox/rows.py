"""New deliveries as rows of their table; `claims` reads them again when they are due."""

from datetime import datetime
from typing import Any

import orjson

from service.domain.model import State
from service.outbox import DeliveryRequest
from service.rules.verdict import Plan


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
        "markup": list(plan.markup) or None,
        "attach": plan.attach,
        "fields": plan.fields,
        "flood": request.flood and request.flood.key,
        "visit": plan.visit and plan.visit.key,
        "announced": plan.visit and plan.visit.announced,
        "even_if_told": plan.even_if_told,
        "buttons": plan.buttons or None,
        "tells_of": plan.tells_of and orjson.Fragment(plan.tells_of.to_json()),
    }
