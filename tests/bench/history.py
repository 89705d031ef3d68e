"""A month of recorded history, and what it takes to try fifty rules on it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from service import store
from service.channels import ways
from service.config import Config
from service.domain.diff import diff
from service.domain.model import Cause, Event, Person, Task
from service.processes.embedded import EmbeddedPostgres
from service.simulator import Simulator
from service.simulator.backtest import backtest
from service.simulator.batches import batches
from service.store import Pool, history
from service.store.events import PostgresEvents
from tests.bench.figures import Figure
from tests.harness.rule_files import configured

EVENTS, TASKS, MOST = 100_000, 20_000, 60.0  # seconds
START = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
ACCOUNT = "field"
_PEOPLE = tuple(Person(str(n), f"P{n}", f"p{n}@x.test") for n in range(20))
# One of each kind; ten of each differ in a number.
_RULES = """\
- id: done-$n
  when: task.completed
  if: task.type == "kind$n"
  then: [{ notify: slack:#office, text: "{{ task.title }} is done" }]
- id: yours-$n
  when: task.reassigned
  if: has(task.assignee)
  settle: 5m
  then: [{ notify: "slack:@{{ task.assignee.email }}", text: "You have it" }]
- id: late-$n
  when: { task.overdue: $nh }
  if: task.priority == "high"
  hours: office
  once_per: [task.id, task.due]
  then: [{ notify: accounting }, { wait: 2h }, { notify: accounting }]
  until: task.done
- id: moved-$n
  when: { task.changed: [due] }
  if: has(before.due) && has(task.due) && task.due - before.due > duration("$nh")
  then: [{ notify: accounting }]
- id: tagged-$n
  when: task.created
  if: size(task.tags) > $n
  then: [{ notify: accounting }]
"""


async def backtesting(folder: Path) -> list[Figure]:
    """How long it takes to go through a month with fifty rules, history read from PostgreSQL."""
    folder.mkdir()
    config = _configuration(folder)
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        async with await store.connect(postgres.url) as pool:
            await store.migrate(pool)
            count = await _record(pool)
            wall, cpu, planned = await _try(pool, config)
    finally:
        postgres.stop()
    name = f"backtest of {count:,} events with {len(config.rules.ids)} rules"
    return [
        Figure(name, f"{wall:.1f} s", f"≤ {MOST:.0f} s", wall <= MOST),
        Figure("  CPU time of the process alone", f"{cpu:.1f} s"),
        Figure("  deliveries that came of it", f"{planned:,}"),
    ]


async def _try(pool: Pool, config: Config) -> tuple[float, float, int]:
    """The seconds that it takes, of the clock and of this process, and what is planned."""
    until = START + MONTH
    wall, cpu = time.perf_counter(), time.process_time()
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        trial = Simulator(config.rules, {ACCOUNT: config.timezone}, ways(config.kinds), START)
        planned = await backtest(
            trial,
            history.tasks_at(connection, START),
            batches(history.events(connection, START, until)),
            until,
            lambda _: None,
        )
    return time.perf_counter() - wall, time.process_time() - cpu, len(planned)


def _configuration(folder: Path) -> Config:
    return configured(folder, "".join(_RULES.replace("$n", str(n)) for n in range(1, 11)))


async def _record(pool: Pool) -> int:
    """Store a month of changes, each decided on by itself."""
    found = list(_changes())[:EVENTS]
    async with pool.acquire() as connection, connection.transaction():
        events = PostgresEvents(connection)
        for event in found:
            await events.insert([event], "none", event.at)
    return len(found)


def _changes() -> Iterator[Event]:
    random, number = Random(7), 0  # noqa: S311 (the same history every time)
    known: dict[str, Task] = {}
    pause = MONTH / (EVENTS * 1.1)
    at = START
    while number < EVENTS:
        at += pause
        task_id = str(random.randrange(TASKS))
        before = known.get(task_id)
        after = _changed(before or Task(task_id, ACCOUNT, "kickserv", "Roof"), random, at)
        known[task_id] = after
        for one in diff(before, after):
            number += 1
            yield Event(
                number, ACCOUNT, task_id, one.kind, at, Cause.WEBHOOK, before, after, one.changed
            )


def _changed(task: Task, random: Random, at: datetime) -> Task:
    change = random.choice(("due", "assignee", "priority", "done", "title"))
    values: dict[str, Any] = {
        "due": at + timedelta(hours=random.randrange(1, 100)),
        "assignee": random.choice(_PEOPLE),
        "priority": random.choice(("low", "normal", "high")),
        "done": not task.done,
        "title": f"Roof {random.randrange(1000)}",
    }
    changes: dict[str, Any] = {change: values[change], "type": f"kind{random.randrange(10)}"}
    return replace(task, **changes)
