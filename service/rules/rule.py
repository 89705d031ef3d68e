"""One rule at work: from an event to a verdict, as a pure function."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.model import Cause, Event, Task
from service.rules.expressions import UTC_ZONE, EvaluationError, Expression
from service.rules.limit import Limit
from service.rules.planning import Planning
from service.rules.reads import Reads, by_noun
from service.rules.scope import Scope, lasting
from service.rules.templates import RenderError
from service.rules.triggers import Trigger
from service.rules.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Settle:
    """How long it must be quiet before the rule looks, and how long that may be put off."""

    quiet: timedelta
    most: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """When, if, then, until. `accounts` None: all of them; `lasts`: how long `if` must hold."""

    id: str
    trigger: Trigger
    conditions: tuple[Expression, ...]
    planning: Planning
    settle: Settle | None = None
    until: Expression | None = None
    accounts: frozenset[str] | None = None
    own_writes: bool = False
    limit: Limit | None = None
    lasts: timedelta | None = None

    @property
    def reads(self) -> Reads:
        """The fields that its expressions look at, `until` aside."""
        asked = (*self.conditions, *self.planning.once_per)
        return frozenset[tuple[str, str]]().union(*(one.reads for one in asked))

    def listens_to(self, event: Event) -> bool:
        if event.cause is Cause.WRITE and not self.own_writes:
            return False
        if self.accounts is not None and event.account not in self.accounts:
            return False
        return self.trigger.matches(event)

    def decide(self, scope: Scope) -> Verdict:
        """What it makes of an event that it listens to, or that it waits with."""
        if self.settle is not None:
            reason = f"waits until it has been quiet for {self.settle.quiet}"
            return self._waits(reason, self.settle.quiet, self.settle.most)
        if self.lasts is None:
            return self.decide_now(scope)
        # What may be put off for no longer than it takes ends when it would have ended at first.
        reason = f"waits whether it stays so for {self.lasts}"
        return self.refusal(scope) or self._waits(reason, self.lasts, self.lasts)

    def _waits(self, reason: str, quiet: timedelta, most: timedelta | None) -> Verdict:
        return Verdict(self.id, Outcome.SETTLING, reason, settle=quiet, settle_max=most)

    def refusal(self, scope: Scope) -> Verdict | None:
        """The verdict on an event of which `if` is not true; None if it is."""
        try:
            for condition in self.conditions:
                if not condition.test(scope.activation, scope.zone):
                    return Verdict(self.id, Outcome.NOT_MATCHED, condition.refusal)
        except EvaluationError as error:
            return Verdict(self.id, Outcome.FAILED, str(error))
        return None

    def decide_now(self, scope: Scope) -> Verdict:
        """What it makes of an event, without waiting for others."""
        if (refused := self.refusal(scope)) is not None:
            return refused
        try:
            plans = self.planning.plans(scope)
        except (EvaluationError, RenderError) as error:
            return Verdict(self.id, Outcome.FAILED, str(error))
        return Verdict(self.id, Outcome.MATCHED, self._grounds(scope.event), plans)

    def has_ended(self, task: Task, now: datetime) -> bool:
        """Whether what it still has pending for this task is to be withdrawn."""
        if self.until is None:
            return False
        try:
            return self.until.test(lasting(task, now, by_noun([self.until.reads])), UTC_ZONE)
        except EvaluationError:
            return False

    def _grounds(self, event: Event) -> str:
        conditions = " and ".join(condition.text for condition in self.conditions)
        happened = f"task.{event.kind}" if event.signal is None else f"signal {event.signal}"
        grounds = happened + (f", and {conditions}" if conditions else "")
        return f"shadow: {grounds}" if self.planning.shadow else grounds
