"""The verdict of a rule on an event: the result that the rules return to the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from service.domain.digests import Group, Joining
from service.domain.model import State
from service.domain.operators.buttons import Button
from service.domain.operators.overrides import Override
from service.rules.visits import Visit

# Placeholder for the reason in the texts of `on_fail`, filled in when a delivery has failed. A
# character of Unicode's private use area, which is never typed.
FAILURE = "\uf0f1"
# Placeholder for the link by which a customer ends all messages: each is made when it is sent.
UNSUBSCRIBE = "[unsubscribe link]"
PLACEHOLDERS = {"failure": FAILURE, "unsubscribe_url": UNSUBSCRIBE}
"""By the names that texts call them by."""
TRIAL_ONLY = "on trial ("
INSTEAD = "/instead:"
"""In the key of a delivery that is sent instead of one that failed; a number follows."""


class Outcome(StrEnum):
    """The decision of a rule on an event that triggers it.

    - `SETTLING`: it waits (`settle`, `for`)
    - `LAPSED`: a `for` wait has ended early, because the condition did not stay true
    - `GATHERED`: the event has joined a digest
    - `FAILED`: an expression or a template could not be evaluated
    - `GIVEN_UP`: a wait or digest was cancelled: its account was removed, or its rule switched off
    - `MISSED`: the event was processed too late; the messages it would have caused are expired
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

    - `channel`: a configured channel, `customer`, `employee`, `create_task`, or another of
      `service.domain.system_actions.WRITES`
    - `state`: planned, held (until `send_at`) or skipped; `reason` says why, if held or skipped, or
      after a wait
    - `once_key`: the values of `once_per`, or the event, and the number of the repetition
    - `withdraw_on`: events of the same task that cancel it
    - `on_undo`: what to do with the sent message if its cause is undone
    - `shadow`: it is stored, but not sent
    - `on_fail`: the fallback after a permanent failure; in its texts FAILURE stands for the reason
    - `asks`: the question to the person who has to approve it first, open until its own
      `expires_at`
    - `mutes`, `muted_by`: the keys under which it mutes others while it is active, and the key by
      which it is muted
    - `visit`, `even_if_told`: the visit that it tells a customer about; they are told once, unless
      `even_if_told`
    - `reaches_customer`: it may reach the customer at their own address
    - `tells_of`: the tasks of a digest, as the message describes them
    - `buttons`: what its receiver can answer
    - `markup`: which parts of the text the rule has written, as `RenderedText` has them
    - `attach`: what the message has with it: `visit`, an invitation to the visit of its task
    """

    step: int
    channel: str
    target: str
    once_key: str
    send_at: datetime
    state: State
    text: str = ""
    markup: tuple[int, ...] = ()
    subject: str | None = None
    attach: str | None = None
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
    buttons: tuple[Button, ...] = ()

    @property
    def approver(self) -> str | None:
        """Who has to approve it first, such as `slack:#dispatch`."""
        return None if self.asks is None else self.asks.receiver

    @property
    def receiver(self) -> str:
        """The receiver, as written in `notify`."""
        return f"{self.channel}:{self.target}" if self.target else self.channel


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's decision on one event, with a reason for people.

    - `settle`, `settle_max`: with outcome `settling`, how long the task must be quiet before the
      rule decides, and how long it waits at most
    - `joining`: with outcome `gathered`, the digest that the event joins
    - `group`: the key of the digest that the verdict is about
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
        """The same verdict for an event that is too late: its messages have expired.

        They were not sent, so they do not count for `once_per`. It starts no wait and joins no
        digest.
        """
        said = f"{self.reason}; {reason}"
        if self.outcome in {Outcome.SETTLING, Outcome.GATHERED}:
            return Verdict(self.rule, Outcome.MISSED, said, group=self.group)
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
        return replace(self, outcome=Outcome.MISSED, reason=said, plans=plans)


def is_instead(once_key: str) -> bool:
    """Whether the delivery with this key is the fallback of a failed one."""
    _, found, number = once_key.rpartition(INSTEAD)
    return bool(found) and number.isdigit()


def trial_only(override: Override | None, what: str) -> str:
    """A reason that says why it was only a trial: by an override, or as written in the file."""
    return f"{TRIAL_ONLY}{'enabled: shadow' if override is None else override.said}): {what}"
