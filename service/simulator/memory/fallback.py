"""`on_fail`: the fallback delivery after a permanent failure, in a simulation."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from service.domain.model import State
from service.outbox import DeliveryRequest
from service.rules.verdict import FAILURE

_REASON = "{0} fails, as the test says"


@dataclass(frozen=True, slots=True)
class Failing:
    """Channels, or addresses such as `slack:#office`, that fail permanently in the simulation."""

    ways: Collection[str] = ()

    def reason(self, request: DeliveryRequest) -> str | None:
        """Why this request fails; None if it does not."""
        plan = request.plan
        way = next((one for one in (plan.receiver, plan.channel) if one in self.ways), None)
        return None if way is None else _REASON.format(way)


def instead(
    failed: DeliveryRequest, number: int, reason: str, now: datetime
) -> Iterator[DeliveryRequest]:
    """The `on_fail` requests of this failed one, the delivery with this number.

    As `service.outbox.fallback` plans them.
    """
    for request in failed.on_fail:
        plan = request.plan
        is_skipped = plan.state is State.SKIPPED
        yield replace(
            request,
            plan=replace(
                plan,
                text=plan.text.replace(FAILURE, reason),
                subject=plan.subject and plan.subject.replace(FAILURE, reason),
                state=State.SKIPPED if is_skipped else State.PLANNED,
                reason=plan.reason if is_skipped else f"instead of message {number}, which failed",
                send_at=now,
                expires_at=failed.plan.expires_at,
                withdraw_on=failed.plan.withdraw_on,
            ),
        )
