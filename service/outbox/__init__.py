"""The outbox: every delivery from its plan to its end, and the promises about sending.

A delivery is claimed (marked as `sending` under a lease), sent, and settled. A lease that has run
out means that a process died in between: a message to a customer is then `unknown` and waits for a
person; everything else is sent again with the same idempotency key.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self, TypeAlias

from service.channels import Message, SentRef
from service.domain.model import Event, State
from service.domain.storms import StormScope
from service.domain.system_actions import WRITES
from service.errors import TaskbellError
from service.outbox.gates import Candidate
from service.rules.cancellation import ends_waiting
from service.rules.revision import MessageBasis
from service.rules.verdict import Plan

Lanes: TypeAlias = frozenset[str]
Identity: TypeAlias = tuple[str, int, str, str]
"""(rule, step, once_key, target) of a delivery."""
# How long a claimed delivery belongs to a process that does not renew the lease.
LEASE = timedelta(seconds=8)
# What to do about a message of which nobody knows whether it arrived.
CHECK_ARRIVAL = (
    'Check whether it arrived. Then choose "It arrived" or "It did not arrive" on the page,'
    " or run `taskbell outbox resolve`."
)


class NoSuchDelivery(TaskbellError):
    """There is no delivery with this number."""


class NotPossible(TaskbellError):
    """The delivery's state does not allow it; the message says which state it is in."""


def account_lane(account: str) -> str:
    """The lane of what an account's own system tells customers and employees."""
    return f"account:{account}"


def writes_lane(account: str) -> str:
    """The lane of what is written to an account's own system: nobody is told late because of it."""
    return f"writes:{account}"


def system_lane(account: str, action: str) -> str:
    """The lane of what an account's own system is to do."""
    return writes_lane(account) if action in WRITES else account_lane(account)


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """A delivery that a rule wants because of an event, and the lane that it goes by.

    A lane is a configured channel or, for what its own system does, an account, with one for what
    that tells and one for what is written to it: deliveries of one lane are sent side by side and
    fail together. A request that `is_limited` counts for the `limit` of its rule, one of a `flood`
    for the storm guard. `on_fail` goes out instead if this one has failed for good. `asks` is the
    question to the person who has to approve it first.
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
        """Whether it is not sent only because its rule is on trial (`enabled: shadow`)."""
        return self.plan.shadow and self.plan.state is not State.SKIPPED

    @property
    def is_over(self) -> bool:
        """Whether it ends as it begins, and is only put on record."""
        return self.plan.state in {State.SKIPPED, State.EXPIRED}

    def ending_with_task(self) -> Self:
        """The same request, once it has to wait: withdrawn when its task moves on."""
        if self.plan.withdraw_on or not self.event.task_id:
            return self
        words = ends_waiting(self.event.kind, self.event.alarm)
        return replace(self, plan=replace(self.plan, withdraw_on=words))

    def skipped(self, reason: str) -> Self:
        """The same request, not to be sent for this reason; nobody is asked to approve it."""
        plan = replace(self.plan, state=State.SKIPPED, reason=reason, asks=None)
        return replace(self, plan=plan, asks=None)


def question(request: DeliveryRequest, delivery: int) -> DeliveryRequest | None:
    """The question to the approver of a delivery that was just placed; None if there is none."""
    if request.asks is None:
        return None
    return replace(request.asks, plan=replace(request.asks.plan, once_key=f"approve:{delivery}"))


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process has to send now.

    `candidate` is how the gates see it, which have let it go. `updates` is the delivery whose
    message it rewrites, `original` the state of that one.
    `approves` is the delivery that it asks an approver about: id and key, the latter None if that
    was decided in the meantime. `grounds` is what one rests on that reaches a customer: its system
    is asked about that before it is sent. `created_at` is when it was planned, `unsent_since` since
    when attempts have come to nothing before anything was sent, each time. Those do not count among
    the `attempts`, but are `unsent`: the two numbers together tell this attempt from all others.
    `trace` is that of the event.
    """

    id: int
    attempts: int
    unsent: int
    at_most_once: bool
    updates: int | None
    original: State | None
    message: Message
    candidate: Candidate
    created_at: datetime
    approves: tuple[int, str | None] | None = None
    grounds: MessageBasis | None = None
    unsent_since: datetime | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one attempt ended. `again_at` is when to try again (UTC), if it is to be tried again.

    One that `is_unsent` has come to nothing before anything was sent: it does not count. Where the
    system could not be asked about its task, `expires_at` ends that if nothing else does.
    """

    claim: Claim
    state: State
    reason: str | None = None
    receipt: SentRef | None = None
    again_at: datetime | None = None
    is_unsent: bool = False
    expires_at: datetime | None = None
