"""What a rule made of an event: the value that the rules hand to the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from service.domain.digests import Joining
from service.domain.model import Group, State
from service.rules.visits import Visit

# Placeholder for the reason in the texts of `on_fail`, filled in when a delivery has failed. A
# character of Unicode's private use area, which nobody types.
FAILURE = "\uf0f1"


class Outcome(StrEnum):
    """How a rule that listens to an event decided.

    `SETTLING`: it waits (`settle`, `for`). `LAPSED`: a wait of `for` has ended early, because its
    condition did not stay true. `GATHERED`: the event has joined a digest. `FAILED`: an expression
    or a template could not be evaluated. `GIVEN_UP`: it waited or gathered, and was not asked any
    more, as its account is gone. `MISSED`: it was too late when Taskbell got round to it; what it
    would have sent is expired.
    """

    MATCHED = "matched"
    SETTLING = "settling"
    GATHERED = "gathered"
    NOT_MATCHED = "not_matched"
    LAPSED = "lapsed"
    FAILED = "failed"
    GIVEN_UP = "given_up"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Plan:
    """One delivery that a rule wants.

    `channel` is the name of a configured channel, `customer`, `employee`, `create_task`,
    or another of `service.domain.system_actions.WRITES`. `state` is planned, held (until `send_at`)
    or skipped, with `reason` in words for the last two and for waits. `once_key` holds the
    values of `once_per`, or the event, and which repetition it is. `withdraw_on` are the events of
    the same task that make it pointless. `on_undo` is what to do with a sent message when its
    cause is taken back. One that is `shadow` has everything but its sending. `on_fail` is what
    is wanted instead when it has failed for good; FAILURE in their texts stands for the reason.
    `asks` is the question to whoever has to approve it first, which is open until that one's
    `expires_at`. While it has not ended it mutes, under its keys `mutes`, what is `muted_by` one.
    `visit` is what it tells a customer; that is told once, unless it is to go out `even_if_told`.
    One that `reaches_customer` may do so at their own address, and tell of several tasks: of
    those that it `tells_of` as they are here.
    """

    step: int
    channel: str
    target: str
    once_key: str
    send_at: datetime
    state: State
    text: str = ""
    subject: str | None = None
    fields: Mapping[str, Any] | None = None
    reason: str | None = None
    expires_at: datetime | None = None
    withdraw_on: frozenset[str] = frozenset()
    on_undo: str | None = None
    shadow: bool = False
    on_fail: tuple["Plan", ...] = ()
    asks: "Plan | None" = None
    muted_by: str | None = None
    mutes: tuple[str, ...] = ()
    visit: Visit | None = None
    even_if_told: bool = False
    reaches_customer: bool = False
    tells_of: Group | None = None

    @property
    def approver(self) -> str | None:
        """Who has to approve it first, such as `slack:#dispatch`."""
        return None if self.asks is None else self.asks.receiver

    @property
    def receiver(self) -> str:
        """Where it goes, as `notify` has it."""
        return f"{self.channel}:{self.target}" if self.target else self.channel


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's decision on one event, with the reason a person can read.

    With outcome `settling`, `settle` is how long the task must be quiet before the rule looks
    again, and `settle_max` how long that may be put off. With `gathered`, `joining` says of what
    digest the event becomes a part. `group` is the key of the digest that the verdict is about.
    """

    rule: str
    outcome: Outcome
    reason: str
    plans: tuple[Plan, ...] = ()
    settle: timedelta | None = None
    settle_max: timedelta | None = None
    joining: Joining | None = None
    group: str | None = None

    def too_late(self, event: int, reason: str) -> "Verdict":
        """The same where the event has come too late: what it wants to have sent has expired.

        Nobody was told, so that it keeps nothing from being sent by `once_per`.
        """
        if self.outcome is not Outcome.MATCHED:
            return self
        plans = tuple(
            replace(
                plan,
                state=State.EXPIRED,
                reason=reason,
                once_key=f"{plan.once_key}/missed:{event}",
                asks=None,
                on_fail=(),
            )
            for plan in self.plans
        )
        said = f"{self.reason}; {reason}"
        return replace(self, outcome=Outcome.MISSED, reason=said, plans=plans)
