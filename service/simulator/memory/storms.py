"""The storm guard of a simulation. Nobody decides, so messages in a storm stay held."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from service.domain.storms import LOOK_BACK, Lately, StormGuard, StormScope, usual


class MemoryStorms:
    """The open storms, and the send times of messages by storm group."""

    def __init__(self, known: Lately | None = None) -> None:
        known = known or Lately()
        self.reasons = dict(known.reasons)
        self.ended = known.ended
        self.sent: dict[str, list[datetime]] = defaultdict(list)
        for flood, moment in known.sent:
            self.note_sent(StormScope.from_key(flood), moment)

    def note_sent(self, flood: StormScope, now: datetime) -> None:
        self.sent[flood.key].append(now)
        if flood.wider is not None:
            self.sent[flood.wider.key].append(now)


@dataclass(frozen=True, slots=True)
class CountedFloods:
    """The message counts of a simulation `now` (UTC); see `gates.StormCounts`."""

    storms: MemoryStorms
    guard: StormGuard
    now: datetime

    def storm(self, flood: StormScope) -> tuple[StormScope, str] | None:
        for one in (flood, flood.wider):
            if one is not None and one.key in self.storms.reasons:
                return one, self.storms.reasons[one.key]
        return None

    def others(self, flood: StormScope) -> int:
        since = self.now - self.guard.within
        counted_from = max(since, self.storms.ended.get(flood.key, since))
        return sum(moment > counted_from for moment in self.storms.sent[flood.key])

    def usual(self, flood: StormScope) -> float | None:
        since, until = self.now - LOOK_BACK, self.now - self.guard.within
        sent = self.storms.sent[flood.key]
        return usual([moment for moment in sent if since < moment <= until], self.guard.within)
