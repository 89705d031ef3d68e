"""Why it came so: what happened to the tasks of a test, and what each rule made of it."""

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from service.books.memory import Decided, MemoryBooks
from service.model import Event
from service.rules import Ruleset
from service.rules.verdict import Outcome
from service.trials.happening import named, shown

_SAID: Mapping[str, str] = {
    Outcome.MATCHED: "matched",
    Outcome.FAILED: "failed",
    Outcome.NOT_MATCHED: "did not match",
}


class Reasons:
    """Reads them off the books, each once; times on the clocks of `zone`."""

    def __init__(
        self, books: MemoryBooks, rules: Ruleset, zones: Mapping[str, ZoneInfo], zone: ZoneInfo
    ) -> None:
        self._books = books
        self._rules = rules
        self._zones = zones
        self._zone = zone
        self._events = 0
        self._decisions = 0

    def new(self) -> list[str]:
        """A line for each event and each decision that came after the last look."""
        events = self._books.events[self._events :]
        decisions = self._books.decisions[self._decisions :]
        self._events, self._decisions = len(self._books.events), len(self._books.decisions)
        lines = [(one.at, line) for one in events for line in self._of_event(one)]
        lines += [(one.at, self._of_decision(one)) for one in decisions]
        return [
            f"{shown(at, self._zone)}: {line}"
            for at, line in sorted(lines, key=lambda pair: pair[0])
        ]

    def _of_event(self, event: Event) -> Iterator[str]:
        """Rules that did not match are not in the books: they are asked again."""
        verdicts = self._rules.decide(event, event.at, self._zones[event.account])
        if not verdicts:
            yield f"{named(event)}; no rule listens to that"
        for one in verdicts:
            if one.outcome is Outcome.NOT_MATCHED:
                yield f"{named(event)}; {one.rule} did not match: {one.reason}"
            elif one.outcome is Outcome.SETTLING:
                yield f"{named(event)}; {one.rule} {one.reason}"

    def _of_decision(self, decided: Decided) -> str:
        one = decided.decision
        event = self._books.events[one.event - 1]
        return f"{named(event)}; {one.rule} {_SAID[one.outcome]}: {one.reason}"
