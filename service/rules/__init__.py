"""The firm's rules: asked about an event, they answer with verdicts, and do nothing themselves."""

from collections import defaultdict
from collections.abc import Container, Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Self
from zoneinfo import ZoneInfo

from service.actions import WRITES
from service.alarms import Alarm
from service.model import Event, Kind, Task
from service.rules.reads import by_noun
from service.rules.rule import Rule
from service.rules.scope import Scope
from service.rules.steps import Action
from service.rules.verdict import Verdict


class Ruleset:
    """Every rule that is switched on, found by what it listens to.

    `version` is a digest of `text`, which is all that decisions depend on beside their event.
    `alarms` is what the clock must watch, `writes` whether any rule writes back to a system,
    `with_until` the rules whose pending deliveries may end early.
    """

    def __init__(self, rules: Iterable[Rule], text: str) -> None:
        self._rules = {rule.id: rule for rule in rules}
        self.text = text
        self.version = blake2b(text.encode(), digest_size=8).hexdigest()
        self._listening: dict[Kind, list[Rule]] = defaultdict(list)
        for rule in self._rules.values():
            for kind in rule.trigger.kinds:
                self._listening[kind].append(rule)
        self._reads = {
            kind: by_noun(rule.reads for rule in rules) for kind, rules in self._listening.items()
        }
        alarms = (rule.trigger.alarm for rule in self._rules.values())
        self.alarms: frozenset[Alarm] = frozenset(alarm for alarm in alarms if alarm is not None)
        self.writes = any(_writes(rule) for rule in self._rules.values())
        self.with_until = frozenset(
            rule.id for rule in self._rules.values() if rule.until is not None
        )

    @classmethod
    def empty(cls) -> Self:
        """No rules at all."""
        return cls((), "")

    @property
    def channels(self) -> frozenset[str]:
        """The names of what its rules send by."""
        steps = (step for rule in self._rules.values() for step in rule.planning.steps)
        return frozenset(step.channel for step in steps if isinstance(step, Action))

    def only(self, ids: Container[str]) -> "Ruleset":
        """The rules with these ids, and no others."""
        return Ruleset((rule for rule in self._rules.values() if rule.id in ids), self.text)

    def __contains__(self, rule_id: str) -> bool:
        return rule_id in self._rules

    def decide(self, event: Event, now: datetime, zone: ZoneInfo) -> list[Verdict]:
        """What every rule that listens to the event makes of it, in the order of the file.

        `now` is in UTC, `zone` the account's. A pure function: the same again for the same.
        """
        rules = [rule for rule in self._listening.get(event.kind, ()) if rule.listens_to(event)]
        if not rules:
            return []
        scope = Scope(event, now, zone, self._reads[event.kind])
        return [rule.decide(scope) for rule in rules]

    def settled(self, rule_id: str, event: Event, now: datetime, zone: ZoneInfo) -> Verdict | None:
        """What a rule that waited makes of the net event; None if it does not listen to it."""
        rule = self._rules.get(rule_id)
        if rule is None or not rule.listens_to(event):
            return None
        return rule.decide_now(Scope(event, now, zone, by_noun([rule.reads])))

    def until(self, rule_id: str, task: Task, now: datetime) -> bool:
        """Whether what the rule still has pending for this task is to be withdrawn."""
        rule = self._rules.get(rule_id)
        return rule is not None and rule.has_ended(task, now)


def _writes(rule: Rule) -> bool:
    steps = rule.planning.steps
    return any(isinstance(step, Action) and step.channel in WRITES for step in steps)
