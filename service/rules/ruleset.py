"""Rule evaluation, without side effects: events in, verdicts out."""

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, Self
from zoneinfo import ZoneInfo

from service.domain.alarms import Alarm
from service.domain.digests import Digest, DigestRebuild
from service.domain.model import Cause, Event, Task
from service.domain.operators.overrides import Mode, Override
from service.domain.schedules import Schedule
from service.domain.storms import StormGuard
from service.domain.system_actions import WRITES
from service.rules import digests
from service.rules.contacts.policy import ContactsPolicy
from service.rules.groups import Together
from service.rules.language.field_reads import ByNoun, by_noun
from service.rules.language.scope import Scope
from service.rules.language.task_counts import Answers, TaskCount
from service.rules.mute_links import linked
from service.rules.overrides import by_override, modes, overrides_in, with_overrides
from service.rules.rule import Rule
from service.rules.selection import Selection
from service.rules.steps import Action
from service.rules.timing import Timing
from service.rules.triggers import Topic, topic_of
from service.rules.verdict import Plan, Verdict

# How many different sorts of events are remembered with those who listen to them.
_MOST_HEARD = 10_000
_OF_COMPLETION = frozenset({("task", "done"), ("task", "completed_at"), ("task", "status")})


class Ruleset:
    """All enabled rules, indexed by the events that trigger them.

    - `text`: all of the configuration that decisions depend on (JSON); `version`: its hash
    - `alarms`: the alarms that these rules need
    - `writes`: whether any rule writes to a system
    - `escalates`: whether any rule has messages that an acknowledgement ends
    - `lasting`, `with_until`: the ids of the rules with `for`, and of those with `until`
    - `limits`: the limit of each rule that has one
    - `together`: the rules that act once for several accounts
    - `storm`: how many customer messages at once are too many
    - `contacts`: to whom, when and how often messages reach customers
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        text: str,
        storm: StormGuard | None = None,
        contacts: ContactsPolicy | None = None,
    ) -> None:
        self.storm = storm or StormGuard()
        self.contacts = contacts or ContactsPolicy()
        self._rules = {rule.id: rule for rule in rules}
        self.text = text
        self.version = blake2b(text.encode(), digest_size=8).hexdigest()
        self._by_topic: dict[Topic, list[Rule]] = defaultdict(list)
        for rule in self._rules.values():
            for topic in rule.trigger.topics if rule.trigger.cron is None else ():
                self._by_topic[topic].append(rule)
        self._heard: dict[Any, tuple[list[Rule], ByNoun]] = {}
        alarms = (rule.trigger.alarm for rule in self._rules.values())
        self.alarms: frozenset[Alarm] = frozenset(alarm for alarm in alarms if alarm is not None)
        self.writes = any(_writes(rule) for rule in self._rules.values())
        self.escalates = any(_escalates(rule) for rule in self._rules.values())
        self.with_until = frozenset(
            rule.id for rule in self._rules.values() if rule.until is not None
        )
        self.lasting = frozenset(rule.id for rule in self._rules.values() if rule.lasts is not None)
        self.together = {
            rule.id: Together(rule.together, rule.accounts or frozenset())
            for rule in self._rules.values()
            if rule.together is not None
        }
        limits = {rule.id: rule.limit for rule in self._rules.values()}
        self.limits = {name: limit for name, limit in limits.items() if limit is not None}

    @classmethod
    def empty(cls) -> Self:
        """A ruleset without rules."""
        return cls((), "")

    @property
    def ids(self) -> Collection[str]:
        """The rules' ids, in the order of the file."""
        return self._rules.keys()

    @property
    def channels(self) -> frozenset[str]:
        """The channels that the rules use, also for approvals and for fallback messages."""
        steps = [step for rule in self._rules.values() for step in _actions(rule)]
        asked = (step.approver.channel for step in steps if step.approver is not None)
        return frozenset(step.channel for step in steps) | frozenset(asked)

    def only(self, ids: Container[str]) -> "Ruleset":
        """A copy with the rules of these ids only."""
        return self._with((rule for rule in self._rules.values() if rule.id in ids), self.text)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules.values())

    def get(self, rule_id: str) -> Rule | None:
        """The enabled rule with this id; None if there is none."""
        return self._rules.get(rule_id)

    def with_others(self, rules: Iterable[Rule]) -> "Ruleset":
        """These rules together with others; rules of one set may mute those of the other."""
        return self._with(linked([*self._rules.values(), *rules]), self.text)

    def _with(self, rules: Iterable[Rule], text: str) -> "Ruleset":
        """Other rules, under the same limits for all of them."""
        return Ruleset(rules, text, self.storm, self.contacts)

    @cached_property
    def overrides(self) -> Mapping[str, Override]:
        """The overrides that these rules follow, by rule; also of rules that are off by them."""
        return overrides_in(self.text)

    def switched(
        self, off: Iterable[Rule], overrides: Mapping[str, Override]
    ) -> tuple["Ruleset", tuple[Rule, ...]]:
        """These rules and those that are `off`, by these overrides; and those that are off then.

        The rules must not follow other overrides already. Overrides of other rules are ignored.
        """
        compiled = {rule.id: rule for rule in (*self, *off)}
        used = {name: one for name, one in overrides.items() if name in compiled}
        if not used:
            return self, tuple(off)
        found = [one for one in modes(self.text, used).values() if one.rule in compiled]
        kept = [compiled[one.rule] for one in found if one.mode is not Mode.OFF]
        left = tuple(compiled[one.rule] for one in found if one.mode is Mode.OFF)
        text = with_overrides(self.text, used)
        return self._with(linked(by_override(kept, used)), text), left

    def with_shadow_enabled(self) -> "Ruleset":
        """A copy in which shadow rules (`enabled: shadow`) are enabled."""
        rules = (replace(one, planning=replace(one.planning, shadow=False)) for one in self)
        return self._with(rules, self.text)

    def __contains__(self, rule_id: str) -> bool:
        return rule_id in self._rules

    def decide(self, event: Event, now: datetime, zone: ZoneInfo) -> list[Verdict]:
        """The verdict of every rule that the event triggers, in the order of the file.

        `now` is UTC, `zone` the account's. A pure function: the same input gives the same output.
        """
        rules, reads = self._listening(event)
        if not rules:
            return []
        scope = Scope(event, now, zone, reads)
        return [rule.decide(scope) for rule in rules]

    def _listening(self, event: Event) -> tuple[list[Rule], ByNoun]:
        """The rules that the event triggers, and the fields they read.

        Cached for each sort of event, so that thousands of rules that it does not trigger cost
        nothing.
        """
        topic, is_ours = topic_of(event), event.cause is Cause.WRITE
        key = topic, event.account, event.changed, is_ours
        if (found := self._heard.get(key)) is None:
            rules = [rule for rule in self._by_topic.get(topic, ()) if rule.listens_to(event)]
            found = rules, by_noun(rule.reads for rule in rules)
            if len(self._heard) >= _MOST_HEARD:
                self._heard.clear()
            self._heard[key] = found
        return found

    def decide_after_wait(
        self, rule_id: str, event: Event, now: datetime, zone: ZoneInfo
    ) -> Verdict | None:
        """The verdict of a rule whose wait is over; None if the event does not trigger it."""
        rule = self._rules.get(rule_id)
        if rule is None or not rule.listens_to(event):
            return None
        return rule.decide_now(Scope(event, now, zone, by_noun([rule.reads])))

    def lapse_reason(self, rule_id: str, event: Event, now: datetime, zone: ZoneInfo) -> str | None:
        """Why a `for` wait ends early: `if` is no longer true; None if it is still true."""
        rule = self._rules[rule_id]
        refused = rule.refusal(Scope(event, now, zone, by_noun([rule.reads])))
        return None if refused is None else refused.reason

    @property
    def crons(self) -> dict[str, str]:
        """The schedules of the rules that have one, by rule id."""
        crons = ((rule.id, rule.trigger.cron) for rule in self._rules.values())
        return {rule: cron for rule, cron in crons if cron is not None}

    def schedules(self, zones: Mapping[str, ZoneInfo]) -> dict[tuple[str, str], Schedule]:
        """The schedules of rules in the accounts' zones, by (rule, account)."""
        return {
            (rule.id, account): Schedule(rule.trigger.cron, zone)
            for rule in self._rules.values()
            if rule.trigger.cron is not None
            for account, zone in zones.items()
            if rule.is_scheduled_in(account)
        }

    def decide_digest(
        self, digest: Digest, now: datetime, zones: Mapping[str, ZoneInfo]
    ) -> tuple[Event, Verdict] | None:
        """The verdict on a digest, and its event; None if the rule no longer has `group`.

        `zones` are those of all accounts.
        """
        rule = self._rules.get(digest.rule)
        if rule is None or rule.grouping is None:
            return None
        return digests.close(rule, digest, now, zones)

    def rebuild_digest(self, one: DigestRebuild, now: datetime, zone: ZoneInfo) -> Plan | str:
        """Rebuild a customer digest without the tasks that no longer qualify, or return why not."""
        rule = self._rules.get(one.rule)
        if rule is None or rule.grouping is None:
            return "the rule was removed, or now sends a message for each task"
        return digests.rebuilt_plan(rule, one, now, zone)

    @property
    def leads(self) -> Mapping[str, str]:
        """The account in which a rule with `together` acts for its others, by rule id."""
        return {rule: joint.lead for rule, joint in self.together.items()}

    def selection(self, rule_id: str) -> Selection | None:
        """The rule's `for_each`; None if it has none."""
        return self._rules[rule_id].for_each

    def reads_all_tasks(self, rule_id: str) -> bool:
        """Whether the rule reads all tasks of an account when its schedule comes."""
        return self._rules[rule_id].reads_all_tasks

    def gathers(self, rule_id: str) -> bool:
        """Whether the rule has `group`, and sends one message about several tasks."""
        return self._rules[rule_id].grouping is not None

    def counts(self, rule_id: str) -> tuple[TaskCount, ...]:
        """The rule's questions about all tasks."""
        return self._rules[rule_id].counts

    def decide_scheduled(
        self, rule_id: str, event: Event, now: datetime, zone: ZoneInfo, answers: Answers
    ) -> Verdict:
        """The verdict of a rule on its schedule, or on one task that `for_each` has selected.

        `answers` are those to its questions about all tasks.
        """
        rule = self._rules[rule_id].with_answers(answers)
        return rule.decide_now(Scope(event, now, zone, by_noun([rule.reads])))

    def decide_selection(
        self,
        rule_id: str,
        event: Event,
        chosen: Iterable[Task],
        now: datetime,
        zones: Mapping[str, ZoneInfo],
    ) -> list[Verdict]:
        """The verdicts of a rule with `group` on the tasks that `for_each` has selected.

        `zones` are those of all accounts.
        """
        return digests.form(self._rules[rule_id], event, chosen, now, zones)

    def timing(self, rule_id: str) -> Timing:
        """When messages of this rule may be sent; at any time if there is no such rule."""
        rule = self._rules.get(rule_id)
        return Timing() if rule is None else rule.planning.timing

    def chooses_hours(self, rule_id: str) -> bool:
        """Whether the hours of this rule depend on the task."""
        return any(one.condition is not None for one in self.timing(rule_id).hours)

    def until(self, rule_id: str, task: Task, now: datetime) -> bool:
        """Whether the rule's pending deliveries for this task are to be cancelled."""
        rule = self._rules.get(rule_id)
        return rule is not None and rule.has_ended(task, now)

    def writes_by(self, rule_id: str) -> bool:
        """Whether this rule writes to a system, so it may have changed the task itself."""
        rule = self._rules.get(rule_id)
        return rule is not None and _writes(rule)

    def asks_whether_done(self, rule_id: str) -> bool:
        """Whether this rule's conditions read whether a task is done."""
        rule = self._rules.get(rule_id)
        return rule is not None and not _OF_COMPLETION.isdisjoint(rule.reads)

    def asks_about(self, rule_id: str) -> frozenset[str]:
        """The task fields that a new check of the rule reads: `for_each`, conditions, `until`."""
        rule = self._rules.get(rule_id)
        if rule is None:
            return frozenset()
        asked = [rule.until.reads] if rule.until else []
        asked += [] if _writes(rule) else [rule.reads]
        chosen = rule.for_each.fields if rule.for_each else frozenset[str]()
        return chosen | by_noun(asked).get("task", frozenset())

    def fields_in_texts(self, rule_id: str, step: int, once_key: str) -> frozenset[str]:
        """The task fields that the text of this message reads."""
        rule = self._rules.get(rule_id)
        action = None if rule is None else rule.planning.action(step, once_key)
        return frozenset() if action is None else action.fields_in_texts

    def refusal_now(
        self, rule_id: str, event: Event, decided_at: datetime, zone: ZoneInfo
    ) -> str | None:
        """Why the rule would no longer match this state of the event's task; None if it would.

        Only its `for_each` and the conditions that read nothing but the task are evaluated.
        `decided_at` is when the rule decided; conditions on the current time are evaluated for that
        time.
        """
        rule = self._rules.get(rule_id)
        if rule is None or _writes(rule):
            return None
        chosen = rule.for_each
        if chosen is not None and not chosen.takes(event.task, decided_at, zone):
            return "for_each no longer chooses the task"
        return rule.refusal_of_task(Scope(event, decided_at, zone, by_noun([rule.reads])))


def _writes(rule: Rule) -> bool:
    return any(step.channel in WRITES for step in _actions(rule))


def _escalates(rule: Rule) -> bool:
    return any(step.buttons for step in rule.planning.steps if isinstance(step, Action))


def _actions(rule: Rule) -> Iterator[Action]:
    """The actions of a rule, including those of `on_fail`."""
    for step in rule.planning.steps:
        if isinstance(step, Action):
            yield from (step, *step.on_fail)
