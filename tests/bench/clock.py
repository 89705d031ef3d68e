"""A million open tasks with alarms: what a tick costs when none is due, and when 10,000 are."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import orjson

from service import store
from service.clock import SystemClock
from service.config import Config, load
from service.domain.alarm_sets import AlarmSet
from service.domain.alarms import OVERDUE, next_alarm
from service.domain.model import Customer, Person, Project, Task
from service.store import Pool
from tests.bench import work
from tests.bench.figures import Figure, everything, grown, listening, process
from tests.harness.running import PATIENCE, Taskbell, free_port, taskbell
from workers import wiring
from workers.clock_tick import ClockRound

TASKS, DUE = 1_000_000, 10_000
ROUNDS, WARM = 1000, 50
MOST_IDLE, MOST_LATE = 2.0, 5.0  # milliseconds, seconds
ANEW = 20_000
_STARTING = 4.0  # seconds that the workers have for it
_AHEAD = timedelta(seconds=5)
ZONES = {
    "london": "Europe/London",
    "york": "America/New_York",
    "adelaide": "Australia/Adelaide",
    "delhi": "Asia/Kolkata",
}
_RULES = """\
- id: soon
  when: { task.due_soon: 1h }
  if: task.priority == "highest"
  then: [{ notify: receiver, text: "{{ task.title }} is due {{ task.due | local }}" }]
- id: late
  when: task.overdue
  then: [{ notify: receiver, text: "{{ task.title }} was due {{ task.due | local }}" }]
- id: year
  when: { schedule: "0 3 29 2 *" }
  then: [{ notify: receiver, text: "Another leap year" }]
- id: eve
  when: { before: task.start, by: 1 day, at: "16:00" }
  then: [{ notify: receiver, text: "Tomorrow: {{ task.title }}" }]
"""
_LATER = """\
- id: later
  when: { task.overdue: 1 day }
  then: [{ notify: receiver, text: "{{ task.title }} is still open" }]
"""
_PERSON = Person("7", "Bo Miller", "bo@example.test")
_TASK = Task(
    id="",
    account="",
    system="plannr",
    title="Chase the provider",
    description="They promised the transfer papers by the end of the week; call again if not.",
    type="case",
    status="Incomplete",
    priority="high",
    assignee=_PERSON,
    assignees=(_PERSON,),
    customer=Customer("c1", "Ida Smith", "ida@example.test", "+44 20 7946 0000"),
    project=Project("9", "Pension transfer"),
    fields={"drink": "Tea"},
)
_COLUMNS = (
    "account",
    "id",
    "snapshot",
    "fingerprint",
    "version",
    "observed_at",
    "rung",
    "next_alarm",
    "watch",
)


async def clock(folder: Path) -> list[Figure]:
    """Idle rounds of the clock by themselves, before and after a second that is full."""
    folder.mkdir()
    port, file = free_port(), folder / "taskbell.yaml"
    with process("tests.bench.receiver", str(port)):
        await listening(port)
        async with (
            taskbell(folder, _configuration(port), "web") as running,
            await store.connect(running.postgres.url, size=1) as pool,
        ):
            config = load(file, os.environ)
            await store.migrate(pool)
            rounds = ClockRound(pool, await wiring.open_engine(pool, config, SystemClock()))
            empty = await _idle(pool, rounds)
            await _make(pool, config)
            idle = await _idle(pool, rounds)
            late = await _full_second(running, pool, config)
            after = await _idle(pool, rounds)
            file.write_text(_configuration(port) + _LATER)
            anew = await _anew(pool, load(file, os.environ))
    return [
        *idle.figures(f"idle tick over {TASKS:,} open tasks"),
        grown(f"a tick of the clock, {TASKS:,} tasks", empty.median, idle.median),
        *late,
        *after.figures("idle tick after that"),
        anew,
    ]


def _configuration(receiver: int) -> str:
    accounts = (
        work.account(name, f"http://127.0.0.1:{receiver}", zone=zone)
        for name, zone in ZONES.items()
    )
    return work.configuration(receiver, *accounts) + _RULES


async def _make(pool: Pool, config: Config) -> None:
    """The tasks, due over the next two years, of accounts that nobody polls."""
    await pool.execute("UPDATE accounts SET paused = true, baseline_at = added_at")
    each = TASKS // len(ZONES)
    first, step = SystemClock().now() + timedelta(days=2), timedelta(days=730) / each
    for name in ZONES:
        dates = (first + number * step for number in range(each))
        await _insert(pool, config, name, dates)
    await pool.execute("VACUUM ANALYZE tasks", timeout=600)


async def _insert(pool: Pool, config: Config, account: str, dates: Iterable[datetime]) -> None:
    """Tasks that are due then, and of which the clock has told all that has come."""
    now = SystemClock().now()
    zone = config.zones[account]
    alarm_set = AlarmSet(config.rules.alarms | {OVERDUE}, zone)
    announced_until, mark, alarm_set_id = (
        {"due": now},
        orjson.dumps({"due": now}).decode(),
        alarm_set.id,
    )

    def row(due: datetime) -> tuple[object, ...]:
        task = replace(_TASK, id=str(uuid4()), account=account, due=due)
        at = next_alarm(task, alarm_set.alarms, zone, announced_until)
        text = task.to_json().decode()
        return account, task.id, text, text[:16].encode(), now, now, mark, at, alarm_set_id

    async with pool.acquire() as connection:
        rows = (row(due) for due in dates)
        await connection.copy_records_to_table("tasks", records=rows, columns=_COLUMNS, timeout=600)


async def _idle(pool: Pool, rounds: ClockRound) -> "Idle":
    """Rounds in which nothing is due, on one connection."""
    for _ in range(WARM):
        await rounds.batch()
    before = await _active(pool)
    walls = sorted([await _milliseconds(rounds) for _ in range(ROUNDS)])
    active = (await _active(pool) - before) / ROUNDS
    return Idle(active, statistics.median(walls), walls[int(ROUNDS * 0.99)])


@dataclass(frozen=True, slots=True)
class Idle:
    """What a round takes in which nothing is due, in milliseconds; `active` in PostgreSQL."""

    active: float
    median: float
    p99: float

    def figures(self, name: str) -> list[Figure]:
        return [
            Figure(
                f"{name}, database time",
                f"{self.active:.2f} ms",
                f"< {MOST_IDLE:.0f} ms",
                self.active < MOST_IDLE,
            ),
            Figure("  with all round trips, median", f"{self.median:.2f} ms"),
            Figure("  with all round trips, p99", f"{self.p99:.2f} ms"),
        ]


async def _milliseconds(rounds: ClockRound) -> float:
    started = time.perf_counter()
    count, _ = await rounds.batch()
    if count:
        raise RuntimeError(f"{count} tasks were due, and none was to be")
    return (time.perf_counter() - started) * 1000


async def _active(pool: Pool) -> float:
    """For how many milliseconds PostgreSQL has worked on statements of this database."""
    await pool.execute("SELECT pg_stat_force_next_flush()")
    return float(
        await pool.fetchval(
            "SELECT active_time FROM pg_stat_database WHERE datname = current_database()"
        )
    )


async def _full_second(running: Taskbell, pool: Pool, config: Config) -> list[Figure]:
    """From the moment at which all are due until the last event is there, by the workers."""
    workers = [name for name in everything() if name != "web"]
    for name in workers:
        running.start(name)
    await asyncio.sleep(_STARTING)
    due = SystemClock().now().replace(microsecond=0) + _AHEAD
    for name in ZONES:
        await _insert(pool, config, name, [due] * (DUE // len(ZONES)))
    late = await _announced_until(pool, due)
    planned = await pool.fetchval("SELECT count(*) FROM deliveries")
    for name in workers:
        running.terminate(name)
    name = f"{DUE:,} alarms due at once are events within"
    return [
        Figure(name, f"{late:.1f} s", f"≤ {MOST_LATE:.0f} s", late <= MOST_LATE),
        Figure("  deliveries that came of them by then", f"{planned:,}"),
    ]


async def _announced_until(pool: Pool, due: datetime) -> float:
    """Wait for all events; how many seconds after `due` the last of them was there."""
    async with asyncio.timeout(PATIENCE * 2):
        while await pool.fetchval("SELECT count(*) FROM events WHERE cause = 'clock'") < DUE:
            await asyncio.sleep(0.05)
    return (SystemClock().now() - due).total_seconds()


async def _anew(pool: Pool, config: Config) -> Figure:
    """After a change of rules, how fast the alarms of all tasks are set anew, beside no work."""
    rounds = ClockRound(pool, await wiring.open_engine(pool, config, SystemClock()))
    started, done = time.perf_counter(), 0
    while done < ANEW:
        count, _ = await rounds.batch()
        done += count
    rate = done / (time.perf_counter() - started)
    return Figure("tasks a second whose alarms are set anew by a change of rules", f"{rate:,.0f}")
