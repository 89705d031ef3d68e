"""How many messages each rule sent on the last days, counted beside the pages and kept for a while.

To count half a million messages takes a second: a page does not wait for that.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import structlog

from service.clock import Clock
from service.store import DATABASE_ERRORS, Pool
from service.store.views import rule_activity
from service.store.views.rule_activity import DayCount
from service.web.presenters.day_plot import DAYS, DayPlot

log = structlog.get_logger()

_PATIENCE = 0.05  # seconds
_SHARE = 20  # it is kept for as many times as long as it took


@dataclass(frozen=True, slots=True)
class _Kept:
    """The counts by rule, up to `today`; good until a time of the event loop."""

    counts: Mapping[str, Sequence[DayCount]]
    today: date
    until: float


class RuleDays:
    """The plots of these rules, by the days of a zone."""

    def __init__(self, pool: Pool, clock: Clock, rules: Sequence[str], zone: ZoneInfo) -> None:
        self._pool = pool
        self._clock = clock
        self._rules = rules
        self._zone = zone
        self._kept: _Kept | None = None
        self._counting: asyncio.Task[_Kept] | None = None

    async def plots(self) -> Mapping[str, DayPlot]:
        """The plot of each rule; empty until the messages have been counted for the first time."""
        if self._kept is None or self._kept.until <= asyncio.get_running_loop().time():
            await self._renew()
        if (kept := self._kept) is None:
            return {}
        return {one: DayPlot.of(kept.counts.get(one, ()), kept.today) for one in self._rules}

    async def _renew(self) -> None:
        """Count them, and wait a moment for that. If the database fails, the old ones stay."""
        counting = self._counting = self._counting or asyncio.create_task(self._count())
        await asyncio.wait({counting}, timeout=_PATIENCE)
        if counting.done() and self._counting is counting:
            self._counting = None
            try:
                self._kept = counting.result()
            except DATABASE_ERRORS as error:
                log.warning("rule_days.failed", kind=type(error).__name__)

    async def _count(self) -> _Kept:
        time = asyncio.get_running_loop().time
        now, began = self._clock.now().astimezone(self._zone), time()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        since = midnight - timedelta(days=DAYS - 1)
        counts = await rule_activity.by_day(self._pool, self._rules, since, self._zone.key)
        return _Kept(counts, now.date(), time() + _SHARE * (time() - began))
