"""Explains rules with a schedule: whether the last slot selected a task, and the result."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.digests import Group
from service.domain.model import Event
from service.explain import (
    STANDINGS,
    DigestExplanation,
    Explanation,
    ExplanationStatus,
    ScheduleExplanation,
)
from service.explain.wording import told
from service.rules.digests import digest_of
from service.rules.groups import named
from service.rules.language.expressions import EvaluationError
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import Scope
from service.rules.language.tracing import traces
from service.rules.rule import Rule
from service.rules.verdict import Outcome
from service.store.decisions import RecordedDecision
from service.store.deliveries import RecordedDelivery
from service.store.views.digest_history import Named, PastSlot
from service.store.views.task_history import TaskHistory


def by_schedule(
    blank: Explanation,
    then: Rule | None,
    slot: PastSlot | None,
    papers: TaskHistory,
    zone: ZoneInfo,
    comes_at: datetime | None,
) -> Explanation:
    """The result of a rule's last `slot`, by the rule as it was `then`; None: there was none.

    `comes_at` is when the schedule fires next.
    """
    schedule = _schedule(slot, comes_at)
    known = replace(blank, schedule=schedule, clock=_clock(schedule, zone))
    if slot is None:
        says = "the schedule has no recorded run yet"
        return replace(known, standing=ExplanationStatus.UNHEARD, says=says)
    known = replace(known, event=slot.event.id, asked_at=slot.at)
    if then is None or then.trigger.cron is None:
        says = "the rule was different when the schedule last ran"
        return replace(known, standing=ExplanationStatus.UNHEARD, says=says)
    return _SlotExplainer(known, then, slot, papers, zone).explained()


def _schedule(slot: PastSlot | None, comes_at: datetime | None) -> ScheduleExplanation:
    if slot is None:
        return ScheduleExplanation(None, comes_at)
    said = (one.reason for one in slot.decisions if one.event == slot.event.id)
    chosen = (Named(one.task_id, one.task.title) for one in slot.chosen)
    return ScheduleExplanation(slot.event.at, comes_at, tuple(chosen), tuple(said))


def _clock(schedule: ScheduleExplanation, zone: ZoneInfo) -> str:
    came, comes = schedule.came_at, schedule.comes_at
    last = "has not run yet" if came is None else f"last run {told(came, zone)}"
    return f"{last}; " + (
        "will not run again" if comes is None else f"next run {told(comes, zone)}"
    )


class _SlotExplainer:
    """Explains one slot of a rule for one task."""

    def __init__(
        self, known: Explanation, rule: Rule, slot: PastSlot, papers: TaskHistory, zone: ZoneInfo
    ) -> None:
        self._known = known
        self._rule = rule
        self._slot = slot
        self._papers = papers
        self._zone = zone

    def explained(self) -> Explanation:
        if self._rule.for_each is None:
            found = self._asked(self._slot.event, _about(self._slot.event, self._slot.decisions))
            return replace(found, standing=ExplanationStatus.NO_TASK)
        if self._rule.grouping is None:
            mine = [one for one in self._slot.chosen if one.task_id == self._papers.key[1]]
            if not mine:
                return self._not_chosen()
            return self._asked(mine[0], _about(mine[0], self._slot.decisions))
        return self._in_company()

    def _not_chosen(self) -> Explanation:
        """Why `for_each` did not select the task, by its state then.

        Fields that change without an event may have had other values.
        """
        task, says = (
            self._papers.at(self._slot.at),
            "the task was not among those that the rule selects (for_each)",
        )
        try:
            if task is None:
                says = "the task did not exist"
            elif self._rule.for_each is not None:
                self._rule.for_each.takes(task, self._slot.at, self._zone)
        except EvaluationError as error:
            says = f"{says}: {error}"
        return replace(self._known, standing=ExplanationStatus.NOT_MATCHED, says=says)

    def _asked(self, event: Event, decision: RecordedDecision | None) -> Explanation:
        """The result for an event that the rule was evaluated for."""
        scope = self._scope(event)
        verdict = self._rule.decide_now(scope)
        outcome, reason = verdict.outcome, verdict.reason
        if decision is not None:
            outcome, reason = Outcome(decision.outcome), decision.reason
        return replace(
            self._known,
            standing=STANDINGS[outcome],
            says=reason,
            event=event.id,
            # Of all tasks as they were then, only the answers are stored, in the reason.
            conditions=() if self._rule.counts else tuple(traces(self._rule.conditions, scope)),
            decision=decision,
            deliveries=tuple(one for one in self._slot.deliveries if one.event == event.id),
        )

    def _in_company(self) -> Explanation:
        """The result for a task in a digest whose list of tasks is not stored.

        So the selection is repeated, with the state of the task then.
        """
        task, choice = self._papers.at(self._slot.at), self._rule.for_each
        try:
            if task is None or choice is None:
                return self._not_chosen()
            if not choice.takes(task, self._slot.at, self._zone):
                return self._not_chosen()
            moment = self._slot.event
            event = replace(moment, account=task.account, task_id=task.id, after=task)
            return self._chosen(self._scope(event))
        except EvaluationError as error:
            says = f"the task was left out: {error}"
            return replace(self._known, standing=ExplanationStatus.FAILED, says=says)

    def _chosen(self, scope: Scope) -> Explanation:
        """The result for a selected task; raises EvaluationError if `by` has no value for it."""
        traced = tuple(traces(self._rule.conditions, scope))
        known = replace(self._known, conditions=traced)
        refused = self._rule.refusal(scope)
        if refused is not None:
            return replace(known, standing=STANDINGS[refused.outcome], says=refused.reason)
        if self._rule.has_ended(scope.event.task, self._slot.at):
            says = "the task was left out: it is no longer needed (`until`)"
            return replace(known, standing=ExplanationStatus.NOT_MATCHED, says=says)
        return self._told(known, self._rule.group_key(scope))

    def _told(self, known: Explanation, key: str) -> Explanation:
        decision = next((one for one in self._slot.decisions if one.group == key), None)
        if decision is None:
            says = f"the task was chosen, but the {digest_of(key)} is not on record"
            return replace(known, standing=ExplanationStatus.NOT_MATCHED, says=says)
        return replace(
            known,
            standing=STANDINGS[Outcome(decision.outcome)],
            says=decision.reason,
            decision=decision,
            digest=DigestExplanation(named(key), told_at=decision.at),
            deliveries=tuple(self._of_digest(key)),
        )

    def _of_digest(self, key: str) -> Sequence[RecordedDelivery]:
        """The deliveries of this digest, or all of the slot if they cannot be distinguished."""
        once_key = self._rule.planning.once_key(self._scope(self._slot.event, Group(key, (), 0)))
        sent = self._slot.deliveries
        return [one for one in sent if one.once_key.startswith(once_key)] or sent

    def _scope(self, event: Event, group: Group | None = None) -> Scope:
        reads = by_noun([self._rule.reads])
        return Scope(event, self._slot.at, self._zone, reads, group)


def _about(event: Event, decisions: Iterable[RecordedDecision]) -> RecordedDecision | None:
    return next((one for one in decisions if one.event == event.id), None)
