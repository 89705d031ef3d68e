"""The last look of a simulation at what is to reach a customer, as the worker takes it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from service.domain.digests import DigestRebuild
from service.outbox import DeliveryRequest
from service.rules.revision import Rejection, RevisedMessage
from service.rules.verdict import Plan
from service.simulator.memory.deliveries import Delivery


@dataclass(frozen=True, slots=True)
class MemoryFinalCheck:
    """Asks once more whether a delivery stands.

    `revision` says what speaks against it, `told_anew` makes the message of what is left of it.
    """

    revision: Callable[[Delivery], RevisedMessage | None]
    told_anew: Callable[[DigestRebuild], Plan | str]

    def at(self, one: Delivery) -> tuple[Rejection, DeliveryRequest | None] | None:
        """Why it is not sent, and the order that takes its place, if any; None if it is sent."""
        revised, grounds = self.revision(one), one.grounds
        if revised is None or grounds is None:
            return None
        if revised.left is None:
            return revised.objection, None
        plan = self.told_anew(grounds.told_anew(revised.left))
        if isinstance(plan, str):
            return revised.told(plan), None
        return revised.told(None), _with(one.order, plan)


def _with(order: DeliveryRequest, plan: Plan) -> DeliveryRequest:
    """The same order with another plan of the same step."""
    asks = order.asks and plan.asks and replace(order.asks, plan=plan.asks)
    pairs = zip(order.on_fail, plan.on_fail, strict=False)
    on_fail = tuple(_with(instead, its_plan) for instead, its_plan in pairs)
    return replace(order, plan=plan, asks=asks or None, on_fail=on_fail)
