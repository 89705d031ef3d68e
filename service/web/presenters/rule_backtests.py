"""Trying a rule on the last 30 days: computed beside the event loop, one rule at a time.

What comes of it is stored, so that every web process shows it.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from time import monotonic
from typing import ClassVar
from zoneinfo import ZoneInfo

import structlog
from pydantic import TypeAdapter

from service.clock import Clock
from service.config import Config
from service.domain.actors import Actor
from service.domain.model import State
from service.simulator.backtest import findings
from service.simulator.memory.deliveries import Delivery
from service.simulator.rule_backtest import (
    MOST_TASKS,
    OutOfTimeError,
    TooManyTasksError,
    Tried,
    try_rule,
)
from service.store import DATABASE_ERRORS, Pool
from service.store.operators import rule_tries
from service.store.views.rule_activity import DayCount
from service.web.presenters.day_plot import DAYS, DayPlot
from service.web.presenters.giving_way import giving_way

log = structlog.get_logger()

LIMIT = 60.0  # seconds of computing
MOST_SHOWN = 50
_MOST_REASONS = 10
_LONGEST = 300  # characters of one text
_BETWEEN_SIGNS = 1.0  # seconds between two signs that it goes on
_TOO_MANY = f"There are more than {MOST_TASKS:,} tasks, which is too much for this page."
_BROKEN = "It failed. Show this to your developer."
_AWAY = "The database did not answer."
_LOST = "It was interrupted. Try it again."


@dataclass(frozen=True, slots=True)
class WouldBe:
    """A message that would have been sent; `at` is UTC, `fields` are those of a new task."""

    account: str
    task: str
    title: str
    channel: str
    target: str
    subject: str
    text: str
    fields: Mapping[str, str]
    at: datetime

    @classmethod
    def of(cls, one: Delivery) -> "WouldBe":
        event, plan = one.request.event, one.request.plan
        return cls(
            *(event.account, event.task_id, _cut(event.task.title if event.task_id else "")),
            *(plan.channel, plan.target, _cut(plan.subject or ""), _cut(one.text)),
            fields={name: _cut(str(value)) for name, value in (plan.fields or {}).items()},
            at=one.settled_at or one.created_at,
        )


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What a rule would have done from `since` to `until` (UTC), told by the days of a zone.

    `is_whole`: the time was enough for all 30 days. `kept` are the reasons why messages would not
    have been sent, each with their number, `messages` are the first that would have been sent.
    """

    since: datetime
    until: datetime
    is_whole: bool
    acted: int
    sent: int
    at_night: int
    twice: int
    kept: Sequence[tuple[str, int]]
    days: Sequence[DayCount]
    today: date
    messages: Sequence[WouldBe]

    @property
    def plot(self) -> DayPlot:
        return DayPlot.of(self.days, self.today)


_RESULT = TypeAdapter(BacktestResult)


@dataclass(frozen=True, slots=True)
class Backtest:
    """One attempt. `share` is how much of it is done, from 0 to 100.

    Once it has ended, it has a `result`, or says `why_not`.
    """

    began_at: datetime
    share: int
    result: BacktestResult | None
    why_not: str

    @property
    def is_running(self) -> bool:
        return self.result is None and not self.why_not


class RuleBacktests:
    """The backtests of the rules of one configuration.

    One rule is `running` at a time in a web process, also while its configuration is replaced.
    """

    running: ClassVar[str | None] = None

    def __init__(self, pool: Pool, clock: Clock, config: Config) -> None:
        self._pool = pool
        self._clock = clock
        self._config = config
        self._task: asyncio.Task[None] | None = None

    async def of(self, rule: str) -> Backtest | None:
        """The last backtest of a rule with these rules and settings."""
        one = await rule_tries.read(self._pool, rule, self._clock.now())
        if one is None or one.version != self._config.rules.version:
            return None
        result = None if one.result is None else _RESULT.validate_json(one.result)
        why_not = _LOST if one.is_lost else one.why_not or ""
        return Backtest(one.began_at, one.share, result, why_not)

    async def start(self, rule: str, by: Actor) -> None:
        """Begin a backtest, unless one is running here, or of this rule anywhere."""
        if RuleBacktests.running is not None:
            return
        RuleBacktests.running = rule
        began_at, begun = self._clock.now(), False
        try:
            version = self._config.rules.version
            begun = await rule_tries.begin(self._pool, rule, version, by, began_at)
        finally:
            if not begun:
                RuleBacktests.running = None
        if begun:
            self._task = asyncio.create_task(self._run(_Run(rule, began_at)))
            self._task.add_done_callback(_noted)

    async def _run(self, run: "_Run") -> None:
        result, why_not = None, _BROKEN
        try:
            result = _RESULT.dump_json(await self._computed(run)).decode()
        except TooManyTasksError:
            why_not = _TOO_MANY
        except DATABASE_ERRORS as error:
            log.warning("backtest.failed", rule=run.rule, kind=type(error).__name__)
            why_not = _AWAY
        finally:
            RuleBacktests.running = None
            said = None if result else why_not
            await rule_tries.end(self._pool, run.rule, run.began_at, result, said)

    async def _computed(self, run: "_Run") -> BacktestResult:
        """The result, computed in a thread; meanwhile its progress is stored."""
        computing = asyncio.create_task(asyncio.to_thread(self._compute, run))
        while not (await asyncio.wait({computing}, timeout=_BETWEEN_SIGNS))[0]:
            now = self._clock.now()
            with suppress(*DATABASE_ERRORS):  # the next sign comes soon
                await rule_tries.go_on(self._pool, run.rule, run.began_at, run.share, now)
        return computing.result()

    def _compute(self, run: "_Run") -> BacktestResult:
        with giving_way():
            return asyncio.run(self._tried(run, monotonic() + LIMIT))

    async def _tried(self, run: "_Run", deadline: float) -> BacktestResult:
        zone, until = self._config.timezone, run.began_at
        today = until.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        since = (today - timedelta(days=DAYS - 1)).astimezone(until.tzinfo)

        def tick(moment: datetime) -> None:
            run.share = int(100 * ((moment - since) / (until - since)))
            if monotonic() > deadline:
                raise OutOfTimeError

        async with self._pool.another(1) as pool:
            tried = await try_rule(self._config.of_rules, run.rule, pool, since, until, tick)
        return self._result(tried, until)

    def _result(self, tried: Tried, until: datetime) -> BacktestResult:
        own = [one for one in tried.deliveries if one.updates is None and one.approves is None]
        zone, found = self._config.timezone, findings(own, self._config.zones)
        return BacktestResult(
            since=tried.since,
            until=tried.until,
            is_whole=tried.until >= until,
            acted=tried.acted,
            sent=len(found.sent),
            at_night=len(found.at_night),
            twice=len(found.twice),
            kept=list(found.kept.items())[:_MOST_REASONS],
            days=_by_day(own, zone),
            today=until.astimezone(zone).date(),
            messages=[WouldBe.of(one) for one in found.sent[:MOST_SHOWN]],
        )


@dataclass(slots=True)
class _Run:
    """A backtest that this process computes; the thread sets its `share`."""

    rule: str
    began_at: datetime
    share: int = 0


def _noted(task: asyncio.Task[None]) -> None:
    """Log what nobody expected."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("backtest.failed", exc_info=error)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


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
