"""Law 11, however the machine's clock jumps: each alarm is told once, by its account's zone."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import product
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.channels import ways
from service.clock import VirtualClock
from service.config import Config
from service.domain.model import Cause, Observation, Task
from service.engine import Engine
from service.engine.decider import Decider
from service.engine.postgres import PostgresTransaction
from service.settings import read_settings
from service.store import Pool
from tests.harness.rule_files import configured
from tests.harness.tasks import task
from workers.alerts import Alerts
from workers.clock_tick import ClockRound
from workers.heartbeat import Heartbeat
from workers.worker import Worker

ZONES = {"field": ZoneInfo("America/New_York"), "london": ZoneInfo("Europe/London")}
RULES = """
- { id: soon, when: { task.due_soon: 1h }, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
- { id: very-late, when: { task.overdue: 2h }, then: [{ notify: accounting }] }
- { id: eve, when: { before: task.start, by: 1 day, at: "16:00" },
    then: [{ notify: accounting }] }
"""
EXAMPLES = 1000 if settings.get_current_profile_name() == "soak" else 40
# Noon in UTC on the days before the clocks change in New York and in London, in spring and autumn.
EVES = [datetime(2026, *day, 12, tzinfo=UTC) for day in ((3, 7), (3, 28), (10, 24), (10, 31))]


class Told(NamedTuple):
    """That an alarm of a task was announced: which, and by which of its dates."""

    account: str
    alarm: str
    date: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """The clock goes on or jumps; then a task's dates are `moved` by so much, or by nothing."""

    jump: timedelta
    account: str
    moved: timedelta


minutes = st.integers(-30, 60).map(lambda some: timedelta(minutes=50 * some))
steps = st.builds(
    Step,
    st.sampled_from([5, 30, 60, 180, 1500, 60, -10, -60, -60, -1440]).map(
        lambda some: timedelta(minutes=some)
    ),
    st.sampled_from(list(ZONES)),
    st.just(timedelta(0)) | minutes,
)


def eve(start: datetime, zone: ZoneInfo) -> datetime:
    """Four in the afternoon of the day before, on the clock that hangs there."""
    day = start.astimezone(zone).date() - timedelta(days=1)
    return datetime.combine(day, time(16), zone).astimezone(UTC)


ALARMS: dict[str, tuple[str, bool, Callable[[datetime, ZoneInfo], datetime]]] = {
    "due_soon:due-3600s": ("due", True, lambda due, _: due - timedelta(hours=1)),
    "overdue:due+0s": ("due", False, lambda due, _: due),
    "overdue:due+7200s": ("due", False, lambda due, _: due + timedelta(hours=2)),
    "reminder:start-86400s@16:00": ("start", True, eve),
}
"""By its name the date of each alarm, whether it is before that, and its moment."""


class Plain:
    """What is to be announced, as one would say it without thinking of any implementation.

    What has come is told, once for each date. That something is to be, when it has been, is
    left untold, and stays so unless the clock is set back to before the alarm.
    """

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._untold: list[Told] = []

    def look(self, tasks: Iterable[Task], now: datetime) -> None:
        self._untold = [one for one in self._untold if one.at <= now]
        for one, (name, (field, is_before, moment)) in product(tasks, ALARMS.items()):
            date: datetime = getattr(one, field)
            alarm = Told(one.account, name, date, moment(date, ZONES[one.account]))
            if alarm.at <= now and alarm not in self.told + self._untold:
                (self._untold if is_before and date <= now else self.told).append(alarm)


class Real:
    """The clock's round and the sweep of a worker, on the tables."""

    def __init__(self, pool: Pool, config: Config, clock: VirtualClock) -> None:
        self._pool = pool
        self._clock = clock
        decider = Decider(config.rules, ZONES, ways(config.kinds))
        self._engine = Engine(decider, ZONES, clock)
        self._rounds = ClockRound(pool, self._engine)
        self._worker = Worker(
            settings=read_settings({}),
            pool=pool,
            clock=clock,
            ingests={},
            clock_round=self._rounds,
            lookups_of={},
            polls={},
            lanes=[],
            alerts=Alerts(pool, clock, [], None),
            presence=Heartbeat(pool, clock, {}),
            overrides={},
        )

    async def begin(self) -> None:
        await self._pool.execute("TRUNCATE accounts, tasks, events, decisions, deliveries")
        await self._pool.execute(
            "INSERT INTO accounts (name, system, added_at, baseline_at, next_poll_at)"
            " SELECT name, 'plannr', $2, $2, $2 FROM unnest($1::text[]) AS names (name)",
            list(ZONES),
            self._clock.now(),
        )
        await self._engine.activate(self._pool)

    async def observe(self, one: Task) -> None:
        look = Observation(one.account, one.id, one, self._clock.now(), Cause.POLL)
        async with self._pool.acquire() as connection, connection.transaction():
            await self._engine.observe(PostgresTransaction(connection), [look])

    async def tick(self) -> None:
        await self._worker.sweep()
        while (await self._rounds.batch())[0]:
            pass

    async def told(self) -> list[Told]:
        """What was, and was not only put on record as missed."""
        rows = await self._pool.fetch(
            """
            SELECT account, alarm, at, after FROM events WHERE cause = 'clock' AND NOT EXISTS (
                SELECT FROM decisions WHERE event = events.id AND outcome = 'missed')
            ORDER BY id
            """
        )
        return [
            Told(
                row["account"],
                row["alarm"],
                datetime.fromisoformat(orjson.loads(row["after"])[ALARMS[row["alarm"]][0]]),
                row["at"],
            )
            for row in rows
        ]


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(  # told, and moved to a date that has come as well, but not any more
    start=EVES[0],
    due=timedelta(minutes=100),
    begins=timedelta(0),
    history=[
        Step(timedelta(hours=3), "field", timedelta(minutes=-50)),
        Step(timedelta(days=-1), "field", timedelta(0)),
    ],
)
@example(  # not told that it is due soon, as it seemed to be due already
    start=EVES[0],
    due=timedelta(minutes=100),
    begins=timedelta(0),
    history=[
        Step(timedelta(days=1), "field", timedelta(0)),
        Step(timedelta(days=-1), "field", timedelta(0)),
        Step(timedelta(hours=1), "field", timedelta(0)),
    ],
)
@given(
    start=st.sampled_from(EVES),
    due=minutes,
    begins=minutes,
    history=st.lists(steps, max_size=12),
)
async def test_however_the_clock_jumps_each_alarm_is_told_once(
    pool: Pool,
    tmp_path: Path,
    start: datetime,
    due: timedelta,
    begins: timedelta,
    history: Sequence[Step],
) -> None:
    """Set back by minutes, an hour or a day, or an hour ahead: nothing is lost, nothing doubled."""
    clock, plain = VirtualClock(start), Plain()
    real = Real(pool, configured(tmp_path, RULES), clock)
    await real.begin()
    tasks = {name: task(account=name, due=start + due, start=start + begins) for name in ZONES}
    for one in tasks.values():
        await real.observe(one)
    ending = [Step(timedelta(days=2), "field", timedelta(0))] * 3
    for number, step in enumerate([*history, *ending], 1):
        clock.advance(step.jump)
        await real.tick()
        plain.look(tasks.values(), clock.now())
        if step.moved:
            tasks[step.account] = _moved(tasks[step.account], step.moved, number)
            await real.observe(tasks[step.account])
    assert sorted(await real.told()) == sorted(plain.told)


def _moved(one: Task, by: timedelta, number: int) -> Task:
    """To dates at which it has never been."""
    by += timedelta(seconds=number)
    return replace(one, due=one.due and one.due + by, start=one.start and one.start + by)
