"""The outbox: every delivery from its plan to its end, and the promises about sending.

A delivery is claimed by marking it `sending` under a lease, sent, and settled. A lease that ran
out means that a process died in between: what reaches a customer is then `unknown` and waits for
a person, everything else is sent again with the same idempotency key.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self, TypeAlias

from service.channels import Message, Receipt
from service.errors import TaskbellError
from service.model import Event, State
from service.rules.planning import ends_waiting
from service.rules.verdict import Plan

Lanes: TypeAlias = frozenset[str]
Identity: TypeAlias = tuple[str, int, str, str]
"""(rule, step, once_key, target) of a delivery."""
# How long a delivery stays with a process that gives no sign of life; those at work renew it.
LEASE = timedelta(seconds=20)
# The reason of a delivery that a person has sent on its way once more.
ASKED_FOR = "a person asked for another attempt"


class NoSuchDelivery(TaskbellError):
    """There is no delivery with this number."""


class NotPossible(TaskbellError):
    """The delivery's state does not allow it; the message says which state it is in."""


def account_lane(account: str) -> str:
    """The lane of what goes through an account's own system."""
    return f"account:{account}"


@dataclass(frozen=True, slots=True)
class Order:
    """A plan of a rule for an event, addressed to a lane.

    A lane is what is sent side by side and fails together: a configured channel, or an account.
    One that `is_limited` counts for the limit of its rule. `on_fail` is what goes out instead when
    it has failed for good. `asks` is the question to whoever has to approve it first.
    """

    event: Event
    rule: str
    plan: Plan
    lane: str
    at_most_once: bool
    is_limited: bool = False
    on_fail: tuple["Order", ...] = ()
    asks: "Order | None" = None

    @property
    def identity(self) -> Identity:
        return self.rule, self.plan.step, self.plan.once_key, self.plan.target

    @property
    def shadow(self) -> bool:
        """Whether it would be sent, were its rule not only on trial."""
        return self.plan.shadow and self.plan.state is not State.SKIPPED

    def ending_with_task(self) -> Self:
        """The same, which waits now and is withdrawn like all that waits."""
        if self.plan.withdraw_on or not self.event.task_id:
            return self
        words = ends_waiting(self.event.kind, self.event.alarm)
        return replace(self, plan=replace(self.plan, withdraw_on=words))

    def skipped(self, reason: str) -> Self:
        """The same, but not to be sent, and nobody is asked about it."""
        plan = replace(self.plan, state=State.SKIPPED, reason=reason, asks=None)
        return replace(self, plan=plan, asks=None)


def question(order: Order, delivery: int) -> Order | None:
    """What an approver is asked about a delivery that was just placed; None where nobody is."""
    if order.asks is None:
        return None
    return replace(order.asks, plan=replace(order.asks.plan, once_key=f"approve:{delivery}"))


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process is to send now.

    `updates` is the one whose message it rewrites, `original` where that one stands. `approves` is
    the one that it asks an approver about, by its number and its key; no key once that is decided.
    """

    id: int
    attempts: int
    at_most_once: bool
    updates: int | None
    original: State | None
    message: Message
    approves: tuple[int, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one attempt ended; `again_at` is when to try again, if that is how it ended."""

    claim: Claim
    state: State
    reason: str | None = None
    receipt: Receipt | None = None
    again_at: datetime | None = None
