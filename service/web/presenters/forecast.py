"""What comes by itself in the next days, computed beside the event loop and kept for a while."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import structlog

from service.channels import ways
from service.clock import Clock
from service.config import Config
from service.simulator import foresight
from service.store import DATABASE_ERRORS, Pool
from service.web.presenters.coming_up import Outlook
from service.web.presenters.giving_way import giving_way

log = structlog.get_logger()

AHEAD = timedelta(days=7)
LIMIT = 6.0  # seconds of computing
_FRESH = timedelta(seconds=10)
_SHARE = 10  # it is kept for as many times as long as it took
_HURRY = 0.2  # seconds that somebody waits for a newer one


@dataclass(frozen=True, slots=True)
class _Kept:
    outlook: Outlook
    seconds: float


class Forecast:
    """The messages of the next seven days if nothing changes; computed on request.

    It is computed in a thread with a connection of its own, one at a time.
    """

    def __init__(self, pool: Pool, clock: Clock, config: Config) -> None:
        self._pool = pool
        self._clock = clock
        self._setting = foresight.Setting(config.rules, config.zones, ways(config.kinds))
        self._kept: _Kept | None = None
        self._running: asyncio.Task[_Kept] | None = None

    async def latest(self, patience: float) -> Outlook | None:
        """What was computed last, or in the next seconds; None if there is nothing yet."""
        if not self._is_fresh():
            await self._renew(_HURRY if self._kept else patience)
        return None if self._kept is None else self._kept.outlook

    def _is_fresh(self) -> bool:
        if self._kept is None:
            return False
        lasts = max(_FRESH, _SHARE * timedelta(seconds=self._kept.seconds))
        return self._clock.now() - self._kept.outlook.now < lasts

    async def _renew(self, patience: float) -> None:
        """Have it computed, and wait so long. If the database fails, what there was is kept."""
        running = self._running or asyncio.create_task(asyncio.to_thread(self._compute))
        self._running = running
        await asyncio.wait({running}, timeout=patience)
        if running.done():
            if self._running is running:
                self._running = None
            try:
                self._kept = running.result()
            except DATABASE_ERRORS as error:
                log.warning("forecast.failed", kind=type(error).__name__)

    def _compute(self) -> _Kept:
        began = monotonic()
        with giving_way():
            outlook = asyncio.run(self._foresee(began + LIMIT))
        return _Kept(outlook, monotonic() - began)

    async def _foresee(self, deadline: float) -> Outlook:
        now = self._clock.now()
        async with self._pool.another(1) as pool:
            found = await foresight.foresee(
                self._setting, pool, now, now + AHEAD, lambda: monotonic() < deadline
            )
        return Outlook.of(found, self._setting.rules)
