"""The storm guard of a rehearsal. Nobody is there to decide, so what a storm holds stays held."""

from collections import defaultdict
from datetime import datetime

from service.storm import LOOK_BACK, Flood, Lately, StormGuard, usual


class MemoryStorms:
    """Which floods are a storm, and when messages of each have gone out."""

    def __init__(self, known: Lately | None = None) -> None:
        known = known or Lately()
        self._reasons = dict(known.reasons)
        self._sent: dict[str, list[datetime]] = defaultdict(list)
        for flood, moment in known.sent:
            self._sent[flood].append(moment)

    def refusal(self, flood: Flood, due: int, guard: StormGuard, now: datetime) -> str | None:
        """Why these messages, so many of which are due, are held."""
        if flood.key not in self._reasons:
            reason = self._rising(flood, due, guard, now)
            if reason is not None:
                self._reasons[flood.key] = reason
        return self._reasons.get(flood.key)

    def note_sent(self, flood: Flood, now: datetime) -> None:
        self._sent[flood.key].append(now)

    def _rising(self, flood: Flood, due: int, guard: StormGuard, now: datetime) -> str | None:
        sent, since = self._sent[flood.key], now - guard.within
        count = due + sum(moment > since for moment in sent)
        before = [moment for moment in sent if now - LOOK_BACK < moment <= since]
        return guard.refusal(
            flood, count, usual(before, guard.within) if guard.is_unusual(flood, count) else None
        )
