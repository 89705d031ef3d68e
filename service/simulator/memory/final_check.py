"""The final check of customer messages in a simulation, as in the worker."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from service.domain.digests import DigestRebuild
from service.outbox import DeliveryRequest
from service.rules.revision import Rejection, RevisedMessage
from service.rules.rewriting import NewText
from service.rules.verdict import Plan
from service.simulator.memory.deliveries import Delivery


@dataclass(frozen=True, slots=True)
class MemoryFinalCheck:
    """Checks whether a delivery is still valid.

    `revision` returns the objection or the new text, `rebuild_digest` the message for the
    remaining tasks.
    """

    revision: Callable[[Delivery], RevisedMessage | NewText | None]
    rebuild_digest: Callable[[DigestRebuild], Plan | str]

    def at(self, one: Delivery) -> tuple[Rejection, DeliveryRequest | None] | NewText | None:
        """Why it is not sent, and the request that replaces it, if any.

        Or the text with which it is sent; None if that is as planned.
        """
        revised, grounds = self.revision(one), one.grounds
        if isinstance(revised, NewText):
            return revised
        if revised is None or grounds is None:
            return None
        if revised.anew is not None:
            return revised.objection, _with(one.request, revised.anew)
        if revised.left is None:
            return revised.objection, None
        plan = self.rebuild_digest(grounds.rebuild_digest(revised.left))
        if isinstance(plan, str):
            return revised.told(plan), None
        return revised.told(None), _with(one.request, plan)


def _with(request: DeliveryRequest, plan: Plan) -> DeliveryRequest:
    """The same request with another plan of the same step."""
    asks = request.asks and plan.asks and replace(request.asks, plan=plan.asks)
    pairs = zip(request.on_fail, plan.on_fail, strict=False)
    on_fail = tuple(_with(instead, its_plan) for instead, its_plan in pairs)
    return replace(request, plan=plan, asks=asks or None, on_fail=on_fail)
