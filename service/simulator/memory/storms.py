"""The storm guard of a simulation. Nobody is there to decide, so what a storm holds stays held."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from service.domain.storms import LOOK_BACK, Flood, Lately, StormGuard, usual


class MemoryStorms:
    """Which floods are a storm, and when messages of each have gone out."""

    def __init__(self, known: Lately | None = None) -> None:
        known = known or Lately()
        self._reasons = dict(known.reasons)
        self._ended = known.ended
        self._sent: dict[str, list[datetime]] = defaultdict(list)
        for flood, moment in known.sent:
            self.note_sent(Flood.from_key(flood), moment)

    def refusals(
        self, due: Iterable[Flood], guard: StormGuard, now: datetime
    ) -> Mapping[Flood, str]:
        """Why messages are held, of which each that is due is given by its flood."""
        many = Counter(due)
        held = self._held(many, guard, now)
        wider: Counter[Flood] = Counter()
        for flood, count in many.items():
            if flood.wider is not None and flood not in held:
                wider[flood.wider] += count
        by_rule = self._held(wider, guard, now)
        return {flood: by_rule[flood.wider] for flood in many if flood.wider in by_rule} | held

    def note_sent(self, flood: Flood, now: datetime) -> None:
        self._sent[flood.key].append(now)
        if flood.wider is not None:
            self._sent[flood.wider.key].append(now)

    def _held(
        self, many: Mapping[Flood, int], guard: StormGuard, now: datetime
    ) -> dict[Flood, str]:
        found = {flood: self._refusal(flood, count, guard, now) for flood, count in many.items()}
        return {flood: reason for flood, reason in found.items() if reason is not None}

    def _refusal(self, flood: Flood, due: int, guard: StormGuard, now: datetime) -> str | None:
        for one in (flood, flood.wider):
            if one is not None and one.key in self._reasons:
                return self._reasons[one.key]
        reason = self._rising(flood, due, guard, now)
        if reason is not None:
            self._reasons[flood.key] = reason
        return reason

    def _rising(self, flood: Flood, due: int, guard: StormGuard, now: datetime) -> str | None:
        sent, since = self._sent[flood.key], now - guard.within
        counted_from = max(since, self._ended.get(flood.key, since))
        count = due + sum(moment > counted_from for moment in sent)
        before = [moment for moment in sent if now - LOOK_BACK < moment <= since]
        return guard.refusal(
            flood, count, usual(before, guard.within) if guard.is_unusual(flood, count) else None
        )
