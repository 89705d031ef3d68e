"""The outbox: every delivery from its plan to its final state.

A delivery is claimed (marked as `sending` under a lease), sent, and its result is stored. An
expired lease means that a process died in between: a message to a customer is then `unknown` and
waits for a person; everything else is sent again with the same idempotency key.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self, TypeAlias

from service.domain.model import Event, State
from service.domain.storms import StormScope
from service.domain.system_actions import WRITES
from service.errors import TaskbellError
from service.rules.cancellation import ends_waiting
from service.rules.verdict import Plan

Lanes: TypeAlias = frozenset[str]
Identity: TypeAlias = tuple[str, int, str, str]
"""(rule, step, once_key, target) of a delivery."""
# How long a claimed delivery belongs to a process that does not renew the lease.
LEASE = timedelta(seconds=8)
# What to do about a message with unknown outcome.
CHECK_ARRIVAL = (
    'Check whether it arrived. Then choose "It arrived" or "It did not arrive" on the page,'
    " or run `taskbell outbox resolve`."
)


class NoSuchDelivery(TaskbellError):
    """There is no delivery with this number."""


class NotPossible(TaskbellError):
    """The delivery's state does not allow it; the message says which state it is in."""


def account_lane(account: str) -> str:
    """The lane of messages that an account's own system sends to customers and employees."""
    return f"account:{account}"


def writes_lane(account: str) -> str:
    """The lane of writes to an account's own system: separate, so that they delay no message."""
    return f"writes:{account}"


def system_lane(account: str, action: str) -> str:
    """The lane of a channel that goes through an account's own system."""
    return writes_lane(account) if action in WRITES else account_lane(account)


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """A delivery that a rule wants because of an event, and its lane.

    Deliveries of one lane are sent concurrently and fail together. A lane is a configured channel
    or, for an account's own system, `account:NAME` (messages) or `writes:NAME` (writes).

    - `is_limited`: it counts for the `limit` of its rule
    - `flood`: the group in which the storm guard counts it; None: it is not counted
    - `on_fail`: what is sent instead after a permanent failure
    - `asks`: the question to the person who has to approve it first
    """

    event: Event
    rule: str
    plan: Plan
    lane: str
    at_most_once: bool
    is_limited: bool = False
    on_fail: tuple["DeliveryRequest", ...] = ()
    asks: "DeliveryRequest | None" = None
    flood: StormScope | None = None

    @property
    def identity(self) -> Identity:
        return self.rule, self.plan.step, self.plan.once_key, self.plan.target

    @property
    def shadow(self) -> bool:
        """Whether it is not sent only because its rule is a shadow rule (`enabled: shadow`)."""
        return self.plan.shadow and self.plan.state is not State.SKIPPED

    @property
    def is_over(self) -> bool:
        """Whether it is stored in a final state and never sent."""
        return self.plan.state in {State.SKIPPED, State.EXPIRED}

    def ending_with_task(self) -> Self:
        """The same request, cancelled when its task changes; for a request that has to wait."""
        if self.plan.withdraw_on or not self.event.task_id:
            return self
        words = ends_waiting(self.event.kind, self.event.alarm)
        return replace(self, plan=replace(self.plan, withdraw_on=words))

    def skipped(self, reason: str) -> Self:
        """The same request, not to be sent for this reason; no approval is requested."""
        plan = replace(self.plan, state=State.SKIPPED, reason=reason, asks=None)
        return replace(self, plan=plan, asks=None)


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of requests that were put into the outbox.

    - `new`: those that were not planned or sent before, by their rule's `once_per`
    - `begun`: those that this process sends right after the commit, so nobody has to be woken up
    """

    new: frozenset[Identity] = frozenset()
    begun: frozenset[Identity] = frozenset()


def question(request: DeliveryRequest, delivery: int) -> DeliveryRequest | None:
    """The question to the approver of a delivery that was just placed; None if there is none."""
    if request.asks is None:
        return None
    return replace(request.asks, plan=replace(request.asks.plan, once_key=f"approve:{delivery}"))
