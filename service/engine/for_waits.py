"""Rules with `for`: a wait ends early, without a message, once its condition is no longer true."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from service.domain.model import Event
from service.engine.transaction import Transaction
from service.rules.cancellation import ends_waiting
from service.rules.ruleset import Ruleset
from service.rules.verdict import Outcome
from service.store.decisions import Decision
from service.store.tasks import Key
from service.store.waits import Wait

_ENDED = "the wait ended early"


class ForWaits:
    """The waits of rules with `for` about some locked tasks, updated as events are processed."""

    def __init__(
        self,
        tx: Transaction,
        rules: Ruleset,
        zones: Mapping[str, ZoneInfo],
        waits: Iterable[Wait],
    ) -> None:
        self._tx = tx
        self._rules = rules
        self._zones = zones
        self._waits: dict[Key, dict[str, Wait]] = defaultdict(dict)
        for wait in waits:
            self._waits[wait.key][wait.rule] = wait

    @classmethod
    async def about(
        cls,
        tx: Transaction,
        rules: Ruleset,
        zones: Mapping[str, ZoneInfo],
        groups: Sequence[Sequence[Event]],
    ) -> Self:
        """The waits about the tasks of these events; reads nothing if no rule has `for`."""
        if not rules.lasting:
            return cls(tx, rules, zones, ())
        keys = {(event.account, event.task_id) for group in groups for event in group}
        return cls(tx, rules, zones, await tx.waits.about(sorted(keys), rules.lasting))

    def begin(self, rule: str, event: Event) -> None:
        """Record a wait that has begun, unless the rule waits already."""
        if rule in self._rules.lasting:
            waits = self._waits[event.account, event.task_id]
            waits.setdefault(rule, Wait(rule, event))

    async def end(self, group: Sequence[Event], now: datetime) -> list[Decision]:
        """End the waits that the events of one observation make pointless; returns why."""
        if not group or not self._waits:
            return []
        waits = self._waits.get((group[0].account, group[0].task_id), {})
        ended = {wait.rule: why for wait in waits.values() if (why := self._why(wait, group, now))}
        gone = [waits.pop(rule) for rule in ended]
        if gone:
            await self._tx.waits.stop(gone)
        return [
            Decision(wait.first.id, wait.rule, Outcome.LAPSED, f"{_ENDED}: {ended[wait.rule]}")
            for wait in gone
        ]

    def _why(self, wait: Wait, group: Sequence[Event], now: datetime) -> str | None:
        """Why the wait ends now; None if it goes on."""
        for event in group:
            if not event.words.isdisjoint(ends_waiting(wait.first.kind, wait.first.alarm)):
                return f"the task was {event.kind}"
        current = replace(wait.first, after=group[-1].after)
        return self._rules.lapse_reason(wait.rule, current, now, self._zones[current.account])
