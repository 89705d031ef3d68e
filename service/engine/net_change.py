"""The net change of a task when a rule's wait is over, and the rule's verdict on it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from service.domain.diff import diff
from service.domain.model import Event, Kind, Task
from service.rules.cancellation import ends_waiting
from service.rules.ruleset import Ruleset
from service.rules.verdict import Verdict
from service.store.waits import Wait


@dataclass(frozen=True, slots=True)
class NetChange:
    """The changes that remain since the event `first`, on which a waiting rule decides.

    `events` may be empty, for instance if a task was moved and moved back.
    """

    rule: str
    first: Event
    events: list[Event]

    @classmethod
    def settled(cls, wait: Wait, current: Task | None, now: datetime) -> Self:
        """The net change of a task since before the first event of a `settle` wait.

        Its events have the id of the first one and the time `now`, so that `expires` counts from
        now.
        """
        first = wait.first
        lost = current if first.kind is Kind.RESTORED else None
        net = [
            replace(first, kind=one.kind, at=now, after=current, changed=one.changed)
            for one in diff(first.before, current, lost)
        ]
        return cls(wait.rule, first, net)

    @classmethod
    def lasted(cls, wait: Wait, current: Task | None, now: datetime) -> Self:
        """The first event of a `for` wait, with the task as it is now; no event if it is gone."""
        left = [] if current is None else [replace(wait.first, at=now, after=current)]
        return cls(wait.rule, wait.first, left)

    def verdict(
        self, rules: Ruleset, now: datetime, zone: ZoneInfo
    ) -> tuple[Event, Verdict] | None:
        """The first verdict on the remaining changes; None if the rule has nothing to decide on."""
        for event in self.events:
            if self._ended_by(event) is not None:
                continue
            verdict = rules.decide_after_wait(self.rule, event, now, zone)
            if verdict is not None:
                return event, verdict
        return None

    def idleness(self, rules: Ruleset) -> str:
        """The reason why the rule has nothing to decide on."""
        if self.rule not in rules:
            return "the rule was removed or switched off while it was waiting"
        if self.rule in rules.lasting:
            return "the task was deleted before the wait ended"
        if not self.events:
            return "the change was undone before the quiet period ended"
        for event in self.events:
            if (ended := self._ended_by(event)) is not None:
                return f"the task was also {ended} before the quiet period ended"
        left = " and ".join(f"task.{event.kind}" for event in self.events)
        return f"after the quiet period only {left} remained, and the rule does not react to that"

    def _ended_by(self, event: Event) -> str | None:
        """The other remaining change that makes this event pointless; None if there is none."""
        ends = ends_waiting(event.kind, event.alarm)
        return next((word for other in self.events for word in sorted(other.words & ends)), None)
