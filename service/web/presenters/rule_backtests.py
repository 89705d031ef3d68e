"""Trying a rule on the last 30 days: computed beside the event loop, one rule at a time."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from time import monotonic
from typing import ClassVar
from zoneinfo import ZoneInfo

import structlog

from service.clock import Clock
from service.config import Config
from service.domain.model import State
from service.simulator.backtest import Findings, findings
from service.simulator.memory.deliveries import Delivery
from service.simulator.rule_backtest import (
    MOST_TASKS,
    OutOfTimeError,
    TooManyTasksError,
    Tried,
    try_rule,
)
from service.store import DATABASE_ERRORS, Pool
from service.store.views.rule_activity import DayCount
from service.web.presenters.day_plot import DAYS, DayPlot
from service.web.presenters.giving_way import giving_way

log = structlog.get_logger()

LIMIT = 60.0  # seconds of computing
MOST_SHOWN = 50
_MOST_KEPT = 20  # results of other rules
_TOO_MANY = f"There are more than {MOST_TASKS:,} tasks, which is too much for this page."
_BROKEN = "It failed. Show this to your developer."
_AWAY = "The database did not answer."


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What a rule would have done; `is_whole`: the time was enough for all 30 days."""

    tried: Tried
    found: Findings
    plot: DayPlot
    is_whole: bool

    @property
    def messages(self) -> Sequence[Delivery]:
        """The first messages that would have been sent."""
        return self.found.sent[:MOST_SHOWN]


@dataclass(slots=True)
class Backtest:
    """One attempt. `share` is how much of it is done, from 0 to 100.

    Once it has ended, it has a `result`, or says `why_not`.
    """

    rule: str
    began_at: datetime
    share: int = 0
    result: BacktestResult | None = None
    why_not: str = ""

    @property
    def is_running(self) -> bool:
        return self.result is None and not self.why_not


class RuleBacktests:
    """The backtests of the rules of one configuration.

    One is `running` at a time in a web process, also while its configuration is replaced.
    """

    running: ClassVar[Backtest | None] = None

    def __init__(self, pool: Pool, clock: Clock, config: Config) -> None:
        self._pool = pool
        self._clock = clock
        self._config = config
        self._known: dict[str, Backtest] = {}
        self._task: asyncio.Task[None] | None = None

    def of(self, rule: str) -> Backtest | None:
        """The last backtest of a rule."""
        return self._known.get(rule)

    def start(self, rule: str) -> None:
        """Begin a backtest, unless one is running."""
        if RuleBacktests.running is not None:
            return
        self._known.pop(rule, None)
        while len(self._known) >= _MOST_KEPT:
            self._known.pop(next(iter(self._known)))
        backtest = self._known[rule] = Backtest(rule, self._clock.now())
        RuleBacktests.running = backtest
        self._task = asyncio.create_task(self._run(backtest))
        self._task.add_done_callback(_noted)

    async def _run(self, backtest: Backtest) -> None:
        why_not = _BROKEN
        try:
            backtest.result = await asyncio.to_thread(self._compute, backtest)
        except TooManyTasksError:
            why_not = _TOO_MANY
        except DATABASE_ERRORS as error:
            log.warning("backtest.failed", rule=backtest.rule, kind=type(error).__name__)
            why_not = _AWAY
        finally:
            backtest.why_not = "" if backtest.result else why_not
            RuleBacktests.running = None

    def _compute(self, backtest: Backtest) -> BacktestResult:
        with giving_way():
            return asyncio.run(self._tried(backtest, monotonic() + LIMIT))

    async def _tried(self, backtest: Backtest, deadline: float) -> BacktestResult:
        zone, until = self._config.timezone, backtest.began_at
        today = until.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        since = (today - timedelta(days=DAYS - 1)).astimezone(until.tzinfo)

        def tick(moment: datetime) -> None:
            backtest.share = int(100 * ((moment - since) / (until - since)))
            if monotonic() > deadline:
                raise OutOfTimeError

        async with self._pool.another(1) as pool:
            tried = await try_rule(self._config.of_rules, backtest.rule, pool, since, until, tick)
        return self._result(tried, until)

    def _result(self, tried: Tried, until: datetime) -> BacktestResult:
        own = [one for one in tried.deliveries if one.updates is None and one.approves is None]
        zone = self._config.timezone
        plot = DayPlot.of(_by_day(own, zone), until.astimezone(zone).date())
        found = findings(own, self._config.zones)
        return BacktestResult(tried, found, plot, is_whole=tried.until >= until)


def _noted(task: asyncio.Task[None]) -> None:
    """Log what nobody expected."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("backtest.failed", exc_info=error)


def _by_day(deliveries: Iterable[Delivery], zone: ZoneInfo) -> list[DayCount]:
    """How many would have been sent each day, and how many not; what still waits does not count."""
    sent: Counter[date] = Counter()
    kept: Counter[date] = Counter()
    for one in deliveries:
        day = (one.settled_at or one.created_at).astimezone(zone).date()
        if one.state is State.SENT:
            sent[day] += 1
        elif not one.is_pending:
            kept[day] += 1
    return [DayCount(day, sent[day], kept[day]) for day in sorted({*sent, *kept})]
