"""Messages as rules want to have them sent."""

from dataclasses import replace
from typing import Any

from service.domain.model import Event, State
from service.outbox import DeliveryRequest
from service.rules.verdict import Plan

LANE = "slack"


def request(
    event: Event, *, rule: str = "r", limited: bool = False, **plan: Any
) -> DeliveryRequest:
    """A message about an event, due when that happened; with these fields of its plan changed."""
    wanted: dict[str, Any] = {
        "step": 1,
        "channel": "slack",
        "target": "#office",
        "once_key": f"event:{event.id}",
        "send_at": event.at,
        "state": State.PLANNED,
        "text": "Smith gutters",
    }
    made = Plan(**wanted | plan)
    return DeliveryRequest(event, rule, made, LANE, at_most_once=False, is_limited=limited)


def asking(message: DeliveryRequest, question: Plan) -> DeliveryRequest:
    """The same, once somebody has approved it who is asked this."""
    plan = replace(message.plan, state=State.HELD, asks=question)
    return replace(message, plan=plan, asks=replace(message, plan=question))
