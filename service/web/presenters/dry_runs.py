"""The result of a dry run, as shown on the page: each rule, and what it would have sent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from service.config import RulesConfig
from service.explain import ExplanationStatus
from service.simulator.dry_run import DryRun
from service.simulator.memory.deliveries import Delivery
from service.store.views.task_history import TaskHistory
from service.web import labels
from service.web.presenters.explanations import STANDINGS, RuleCard, cards

_MOST_SENT = 5  # messages of one rule
# The status of a rule whose messages are not about the last event.
_LATE = {
    STANDINGS[ExplanationStatus.NOT_MATCHED]: "acted on an earlier event",
    STANDINGS[ExplanationStatus.UNHEARD]: "acts when its time comes",
}


@dataclass(frozen=True, slots=True)
class TriedMessage:
    """A message that a rule would have planned: its receiver, text, and what would become of it."""

    receiver: str
    outcome: str
    subject: str
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class TriedRule:
    """The result of one rule, and its last messages; `more` is the number of earlier ones."""

    card: RuleCard
    messages: Sequence[TriedMessage]
    more: int


@dataclass(frozen=True, slots=True)
class TriedTask:
    """The result of a dry run on one task."""

    account: str
    task: str
    title: str
    events: int
    rules: Sequence[TriedRule]


def tried_task(run: DryRun, papers: TaskHistory, sketch: RulesConfig, now: datetime) -> TriedTask:
    """The result, with the rules that would have acted first."""
    account, task = papers.key
    zone = sketch.zones.get(account, sketch.timezone)
    shown = cards(list(run.explanations), papers, zone, sketch.timezone)
    known = papers.known.task
    return TriedTask(
        account=account,
        task=task,
        title=known.title if known is not None else "",
        events=len(run.events),
        rules=[_rule(card, run.deliveries.get(card.rule, ()), zone, now) for card in shown],
    )


def _rule(
    card: RuleCard, deliveries: Sequence[Delivery], zone: ZoneInfo, now: datetime
) -> TriedRule:
    if deliveries and card.standing in _LATE:
        # The explanation is about the last event that the rule was evaluated for.
        card = replace(card, standing=_LATE[card.standing], look="sent")
    last = [_message(one, zone, now) for one in deliveries[-_MOST_SENT:]]
    return TriedRule(card, last, max(0, len(deliveries) - _MOST_SENT))


def _message(one: Delivery, zone: ZoneInfo, now: datetime) -> TriedMessage:
    plan = one.request.plan
    at = one.settled_at or one.due or one.created_at
    verb = "would be" if at > now else "would have been"
    outcome = "would wait until" if one.is_pending else f"{verb} {labels.STATES[one.state]},"
    return TriedMessage(
        receiver=labels.receiver(plan.channel, plan.target),
        outcome=f"{outcome} {labels.local(at, zone)}",
        subject=plan.subject or "",
        text=one.text,
        reason=labels.in_local_time(one.reason or "", zone, zone),
    )
