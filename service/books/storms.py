"""The storm guard of a rehearsal. Nobody is there to decide, so what a storm holds stays held."""

from collections import defaultdict
from datetime import datetime

from service.storm import LOOK_BACK, Lately, StormGuard, usual


class MemoryStorms:
    """Which accounts have a storm, and when their customers were written to."""

    def __init__(self, known: Lately | None = None) -> None:
        known = known or Lately()
        self._reasons = dict(known.reasons)
        self._sent: dict[str, list[datetime]] = defaultdict(list)
        for account, moment in known.sent:
            self._sent[account].append(moment)

    def refusal(self, account: str, due: int, guard: StormGuard, now: datetime) -> str | None:
        """Why this account's customer messages, so many of which are due, are held."""
        if account not in self._reasons:
            reason = self._rising(account, due, guard, now)
            if reason is not None:
                self._reasons[account] = reason
        return self._reasons.get(account)

    def note_sent(self, account: str, now: datetime) -> None:
        self._sent[account].append(now)

    def _rising(self, account: str, due: int, guard: StormGuard, now: datetime) -> str | None:
        sent, since = self._sent[account], now - guard.within
        count = due + sum(moment > since for moment in sent)
        before = [moment for moment in sent if now - LOOK_BACK < moment <= since]
        return guard.refusal(
            count, usual(before, guard.within) if guard.is_unusual(count) else None
        )
