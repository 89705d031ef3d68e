"""Builds one explanation per rule from the recorded history of a task."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from service.domain.digests import Joining, Member
from service.domain.model import Cause, Event
from service.domain.operators.overrides import Mode
from service.domain.schedules import Schedule
from service.explain import STANDINGS, Explanation, ExplanationStatus
from service.explain.digests import in_digest, joined
from service.explain.last_decision import EvaluatedEvents, last_occasion
from service.explain.rule_versions import RuleVersions
from service.explain.schedules import by_schedule
from service.explain.wording import next_ring, standing, told
from service.rules.digests import absence
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import Scope
from service.rules.language.tracing import traces
from service.rules.language.vocabulary import NO_ZONES
from service.rules.rule import Rule
from service.rules.verdict import Outcome, Verdict
from service.store.decisions import RecordedDecision
from service.store.deliveries import RecordedDelivery
from service.store.views.task_history import TaskHistory

_SURROUNDINGS = ("timezone", "hours", "holidays", "lists")
_NOTHING_LEFT = "no change was left that the rule reacts to"


def explain(
    rules: RuleVersions,
    task_history: TaskHistory,
    zone: ZoneInfo,
    now: datetime,
    since: datetime,
    zones: Mapping[str, ZoneInfo] = NO_ZONES,
) -> list[Explanation]:
    """One explanation for each rule of the file, in its order, for the task of a history.

    `zone` is the account's. `since` is the time of the first stored event (UTC). `zones` are those
    of all accounts, for rules with `together`.
    """
    explainer = _Explainer(rules, task_history, zone, now, since, zones)
    return [explainer.rule(raw) for raw in _written(rules.now.text)]


def _written(text: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = orjson.loads(text).get("rules", []) if text else []
    return rules


class _Explainer:
    def __init__(
        self,
        rules: RuleVersions,
        task_history: TaskHistory,
        zone: ZoneInfo,
        now: datetime,
        since: datetime,
        zones: Mapping[str, ZoneInfo],
    ) -> None:
        self._zones = zones
        self._rulebook = rules
        self._dossier = task_history
        self._zone = zone
        self._now = now
        self._since = since
        self._decided_at = {one.event.id: one.decided_at for one in task_history.recorded}
        self._versions = {one.event.id: one.rules_version for one in task_history.recorded}

    def rule(self, raw: Mapping[str, Any]) -> Explanation:
        rule, account = self._rulebook.now.get(raw["id"]), self._dossier.key[0]
        blank = Explanation(
            raw["id"],
            words_of_trigger(raw["when"]),
            ExplanationStatus.OFF,
            self._why_off(raw["id"]),
        )
        if rule is None:
            return blank
        if rule.accounts is not None and account not in rule.accounts:
            says = f"the rule is only for {', '.join(sorted(rule.accounts))}"
            return replace(blank, standing=ExplanationStatus.ELSEWHERE, says=says)
        if rule.trigger.cron is not None:
            return self._by_schedule(blank, rule)
        events, decisions = self._dossier.events, self._decisions(rule)
        occasion = last_occasion(rule, events, decisions, self._decided_at)
        known = replace(
            blank,
            heard=tuple(one.id for one in events if rule.listens_to(one)),
            clock=self._clock(rule),
            notes=tuple(self._own_writes(rule)),
        )
        return self._unheard(known) if occasion is None else self._asked(known, rule, occasion)

    def _why_off(self, rule: str) -> str:
        override = self._rulebook.now.overrides.get(rule)
        return f"the rule {'says enabled: false' if override is None else f'was {override.said}'}"

    def _by_schedule(self, blank: Explanation, rule: Rule) -> Explanation:
        slot = self._dossier.together.slots.get(rule.id)
        then = rule if slot is None else self._rule_of(slot.rules_version, rule)
        there = self._zones.get(rule.together or "", self._zone)
        comes_at = Schedule(rule.trigger.cron or "", there).after(self._now)
        found = by_schedule(blank, then, slot, self._dossier, self._zone, comes_at)
        if slot is None:
            return found
        return replace(found, notes=tuple(self._changed_since(rule, slot.rules_version)))

    def _clock(self, rule: Rule) -> str | None:
        alarm = rule.trigger.alarm
        if alarm is None:
            return None
        at_once = self._dossier.account_waits is None
        return next_ring(alarm, self._dossier.known, self._zone, self._now, at_once=at_once)

    def _own_writes(self, rule: Rule) -> Iterator[str]:
        if rule.own_writes:
            return
        made = [one for one in self._dossier.events if one.cause is Cause.WRITE]
        if count := sum(map(rule.trigger.matches, made)):
            changes = "one change was" if count == 1 else f"{count} changes were"
            yield (
                f"{changes} made by Taskbell itself. The rule ignores such changes"
                " (it would need own_writes: true)"
            )

    def _unheard(self, known: Explanation) -> Explanation:
        if known.clock is not None:
            return replace(known, standing=ExplanationStatus.UNHEARD, says=known.clock, clock=None)
        since = told(self._since, self._zone)
        says = f"there was no {known.when} since {since}; the task is {self._state()}"
        return replace(known, standing=ExplanationStatus.UNHEARD, says=says)

    def _state(self) -> str:
        return standing(self._dossier.known.present)

    def _asked(self, known: Explanation, rule: Rule, occasion: EvaluatedEvents) -> Explanation:
        wait = next((one for one in self._dossier.waits if one.rule == rule.id), None)
        if wait is not None:
            at = told(wait.ends_at, self._zone)
            says = f"the rule decides at {at}, or later if the task changes again"
            return replace(known, standing=ExplanationStatus.SETTLING, says=says, event=wait.event)
        decision = self._decision(rule, occasion)
        number = occasion.id if decision is None else decision.event
        known = replace(
            known,
            event=number,
            asked_at=occasion.at,
            decision=decision,
            deliveries=self._deliveries(rule, number),
        )
        if not occasion.events:
            says = _NOTHING_LEFT if decision is None else decision.reason
            return replace(known, standing=ExplanationStatus.NOT_MATCHED, says=says)
        version = self._versions[number] if decision is None else decision.rules_version
        asked = [one for one in occasion.events if one.id == number] or list(occasion.events)
        return self._judged(known, rule, version, asked)

    def _judged(
        self, known: Explanation, rule: Rule, version: str, asked: Sequence[Event]
    ) -> Explanation:
        """Add the outcome and the values of the conditions, by the rule in that version."""
        then = self._rule_of(version, rule)
        heard = [event for event in asked if then is not None and then.listens_to(event)]
        if then is None or not heard:
            says = f"when that happened, {self._absence(version, rule.id)}"
            return replace(known, standing=ExplanationStatus.NOT_MATCHED, says=says)
        scope, verdict = self._decided_again(then, heard, known.asked_at or self._now)
        standing, says = _outcome(known.decision, verdict)
        traced = tuple(traces(then.conditions, scope))
        notes = (*known.notes, *self._changed_since(rule, version))
        judged = replace(known, standing=standing, says=says, conditions=traced, notes=notes)
        if standing is not ExplanationStatus.GATHERED or verdict.joining is None:
            return judged
        return self._gathered(judged, rule, verdict.joining)

    def _absence(self, version: str, rule: str) -> str:
        """Why the rule of that version did not decide."""
        then = self._rulebook.then.get(version)
        override = None if then is None else then.overrides.get(rule)
        if override is not None and override.mode is Mode.OFF:
            return f"the rule was {override.said}"
        return "the rule did not exist yet or was triggered by something else"

    def _gathered(self, judged: Explanation, rule: Rule, joining: Joining) -> Explanation:
        """Add the state of the digest that the task has joined."""
        digest = joined(judged.decision, self._dossier.together.gatherings)
        if digest is None:
            lost = "what became of its combined message is no longer on record"
            return replace(judged, notes=(*judged.notes, lost))
        told = digest.told
        at = self._now if told is None else told.at
        then = rule if told is None else self._rule_of(told.rules_version, rule)
        member = Member(*self._dossier.key, joining.anchor, self._dossier.at(at))
        left_out = None if then is None else absence(then, member, at)
        return in_digest(judged, digest, left_out, self._zone)

    def _rule_of(self, version: str, rule: Rule) -> Rule | None:
        """The rule in a version, or the present one if that version is not stored."""
        then = self._rulebook.then.get(version)
        return rule if then is None else then.get(rule.id)

    def _decision(self, rule: Rule, occasion: EvaluatedEvents) -> RecordedDecision | None:
        numbers = {occasion.id, *(event.id for event in occasion.events)}
        found = [one for one in self._decisions(rule) if one.event in numbers]
        return found[-1] if found else None

    def _decisions(self, rule: Rule) -> list[RecordedDecision]:
        """The decisions of the rule on this task.

        The decision on a digest has the id of the event that opened it. If that event is one of
        this task, the decision on joining comes first, and is the one that is meant here.
        """
        ours = [one for one in self._dossier.decisions if one.rule == rule.id]
        joined = {one.event: one for one in reversed(ours) if one.outcome == Outcome.GATHERED}
        return [one for one in ours if joined.get(one.event, one) is one]

    def _deliveries(self, rule: Rule, number: int) -> tuple[RecordedDelivery, ...]:
        """The deliveries of the event, and their updates."""
        ours = [one for one in self._dossier.deliveries if one.rule == rule.id]
        first = {one.id for one in ours if one.event == number and one.rewrites is None}
        return tuple(one for one in ours if one.id in first or one.rewrites in first)

    def _changed_since(self, rule: Rule, version: str) -> Iterator[str]:
        then = self._rulebook.then.get(version)
        if then is not None and _words(then.text, rule.id) != _words(self._text, rule.id):
            yield "the rule has changed since then; this shows the earlier version"

    @property
    def _text(self) -> str:
        return self._rulebook.now.text

    def _decided_again(
        self, rule: Rule, asked: Sequence[Event], at: datetime
    ) -> tuple[Scope, Verdict]:
        """The verdict on the first of these events for which the rule fires, or on the last."""
        for event in asked:
            scope = Scope(event, at, self._zone, by_noun([rule.reads]))
            verdict = rule.decide_now(scope)
            if verdict.outcome is Outcome.MATCHED:
                break
        return scope, verdict


def words_of_trigger(when: Any) -> str:
    """The value of `when:` in one line."""
    if not isinstance(when, dict):
        return str(when)
    return ", ".join(
        f"{name} ({', '.join(more)})" if isinstance(more, list) else f"{name}: {more}"
        for name, more in when.items()
    ).removesuffix(": None")


def _outcome(decision: RecordedDecision | None, verdict: Verdict) -> tuple[ExplanationStatus, str]:
    """The status by the stored decision, or else by the one that was just repeated."""
    if decision is not None:
        return STANDINGS[Outcome(decision.outcome)], decision.reason
    return STANDINGS[verdict.outcome], verdict.reason


def _words(text: str, rule: str) -> Any:
    """The part of the configuration that this rule's decisions depend on."""
    whole = orjson.loads(text)
    own = [one for one in whole.get("rules", []) if one.get("id") == rule]
    return own, whole.get("overrides", {}).get(rule), [whole.get(name) for name in _SURROUNDINGS]
