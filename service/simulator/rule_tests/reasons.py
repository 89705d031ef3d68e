"""Why a test failed: the events of its tasks, and what each rule decided."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from service.domain.model import Cause, Event
from service.explain.wording import rows
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import Scope
from service.rules.language.tracing import traces
from service.rules.ruleset import Ruleset
from service.rules.verdict import Outcome
from service.simulator.memory.transaction import MemoryTransaction
from service.simulator.rule_tests.actual import named
from service.store.decisions import RecordedDecision


@dataclass(frozen=True, slots=True)
class Reason:
    """An event of a task, its time, and the decision of a rule on it.

    `values` has the conditions that were false, part by part, each with its value.
    """

    event: str
    said: str
    values: tuple[tuple[str, str], ...] = ()


class Reasons:
    """Reads the reasons from memory, each of them once; times are in `zone`."""

    def __init__(
        self, tx: MemoryTransaction, rules: Ruleset, zones: Mapping[str, ZoneInfo], zone: ZoneInfo
    ) -> None:
        self._tx = tx
        self._rules = rules
        self._zones = zones
        self._zone = zone
        self._events = 0
        self._decisions = 0

    def new(self) -> list[Reason]:
        """One for each event and each decision since the last call."""
        events, decisions = self._tx.events.recorded, self._tx.decisions.recorded
        found = [(one.at, each) for one in events[self._events :] for each in self._of_event(one)]
        found += [(one.at, self._of_decision(one)) for one in decisions[self._decisions :]]
        self._events, self._decisions = len(events), len(decisions)
        return [reason for _, reason in sorted(found, key=lambda pair: pair[0])]

    def _of_event(self, event: Event) -> Iterator[Reason]:
        """Rules that did not match have no recorded decision: they are evaluated again."""
        what = named(event, self._zone)
        verdicts = self._rules.decide(event, event.at, self._zones[event.account])
        if not verdicts and event.cause is not Cause.CLOCK:
            yield Reason(what, "this triggers no rule")
        for one in verdicts:
            if one.outcome is Outcome.NOT_MATCHED:
                said = f"{one.rule} did not match: {one.reason}"
                yield Reason(what, said, tuple(self._values(one.rule, event)))
            elif one.outcome is Outcome.SETTLING:
                yield Reason(what, f"{one.rule} {one.reason}")

    def _values(self, rule_id: str, event: Event) -> Iterator[tuple[str, str]]:
        rule = self._rules.get(rule_id)
        if rule is not None:
            zone = self._zones[event.account]
            scope = Scope(event, event.at, zone, by_noun([rule.reads]))
            for found in traces(rule.conditions, scope):
                yield from rows(found, self._zone)

    def _of_decision(self, one: RecordedDecision) -> Reason:
        what = named(self._tx.events.recorded[one.event - 1], self._zone)
        return Reason(what, f"{one.rule} {_said(one.outcome)}: {one.reason}")


def _said(outcome: str) -> str:
    return "did not match" if outcome == Outcome.NOT_MATCHED else outcome
