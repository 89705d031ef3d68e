"""A task that was deleted and is there again: it is restored, and not new."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.config import Config
from service.domain.model import Cause, Event, Kind, Task
from service.sandbox.system import Raw
from service.simulator import Simulator
from service.simulator.backtest import backtest
from service.simulator.batches import Batch
from service.store import Pool
from service.store.tasks import Key
from tests.harness.corridor import Corridor, begun, kinds
from tests.harness.rule_files import configured
from tests.harness.tasks import START, task

RULES = """
- { id: new, when: task.created, then: [{ notify: accounting }] }
- { id: done, when: task.completed, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
- id: gone
  when: task.deleted
  then: [{ notify: "slack:#office", text: "{{ task.title }} is gone", on_undo: update }]
- id: back
  when: task.restored
  then: [{ notify: "slack:#dispatch", text: "{{ task.title }} is back" }]
- id: calmly
  when: task.restored
  settle: 5m
  then: [{ notify: "slack:#office", text: "{{ task.title }} has stayed" }]
"""
ZONES = {"london": ZoneInfo("Europe/London")}


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def lose(taskbell: Corridor, visit: Raw) -> None:
    """It is deleted over there, and a webhook says so."""
    taskbell.sandbox.kickserv.delete(str(visit["id"]))
    await taskbell.webhook({"event": "task.deleted", "data": {"id": visit["id"]}})
    await taskbell.look_up()
    taskbell.clock.advance(timedelta(minutes=1))


async def test_a_task_that_is_there_again_is_restored(taskbell: Corridor) -> None:
    """Nobody hears of a new task, nor a second time that it was done; the news is that it is."""
    visit = taskbell.visit()
    taskbell.sandbox.kickserv.finish(str(visit["id"]))
    await taskbell.poll()
    before = kinds(await taskbell.events(visit["id"]))
    await lose(taskbell, visit)
    await taskbell.deliver()
    taskbell.sandbox.kickserv.tasks[str(visit["id"])] = visit
    await taskbell.poll()
    assert kinds(await taskbell.events(visit["id"])) == [*before, "deleted", "restored"]
    await taskbell.deliver()
    assert "Clean the gutters is back" in taskbell.posts
    assert "No longer true (task was restored): Clean the gutters is gone" in taskbell.posts
    await taskbell.tick(minutes=6)
    await taskbell.deliver()
    assert "Clean the gutters has stayed" in taskbell.posts


async def test_what_was_finished_while_it_was_gone_is_told(taskbell: Corridor) -> None:
    """It was open when it was lost, and is back and done: both are news."""
    visit = taskbell.visit()
    await taskbell.poll()
    await lose(taskbell, visit)
    taskbell.sandbox.kickserv.tasks[str(visit["id"])] = visit
    taskbell.sandbox.kickserv.finish(str(visit["id"]))
    await taskbell.poll()
    told = ["created", "deleted", "restored", "completed"]
    assert kinds(await taskbell.events(visit["id"])) == told


async def test_a_restored_task_rings_for_nothing_that_passed_while_it_was_gone(
    taskbell: Corridor,
) -> None:
    """Its due time came and went; a later one rings."""
    visit = taskbell.visit()
    await taskbell.poll()
    await lose(taskbell, visit)
    await taskbell.tick(days=3)
    taskbell.sandbox.kickserv.tasks[str(visit["id"])] = visit
    await taskbell.poll()
    await taskbell.tick(minutes=1)
    told = ["created", "deleted", "restored"]
    assert kinds(await taskbell.events(visit["id"])) == told
    later = taskbell.clock.now() + timedelta(hours=1)
    taskbell.sandbox.kickserv.change(str(visit["id"]), ends_at=later)
    await taskbell.poll()
    await taskbell.tick(hours=2)
    assert kinds(await taskbell.events(visit["id"])) == [*told, "rescheduled", "overdue"]


async def test_a_backtest_that_begins_after_the_deletion_knows_it_too(tmp_path: Path) -> None:
    """The record says that the task was restored, so it had been there."""
    config = configured(
        tmp_path, "- { id: back, when: task.restored, then: [{ notify: accounting }] }"
    )
    for told in ([Kind.RESTORED], [Kind.RESTORED, Kind.COMPLETED]):
        happened = [_event(number, kind) for number, kind in enumerate(told)]
        assert await _backtested(config, [Batch(START, "v", [happened])]) == 1


def _event(number: int, kind: Kind) -> Event:
    back = task(done=True)
    return Event(number, "london", back.id, kind, START, Cause.POLL, None, back)


async def _backtested(config: Config, batches: list[Batch]) -> int:
    async def known() -> AsyncIterator[tuple[Key, Task]]:
        nothing: list[tuple[Key, Task]] = []
        for one in nothing:
            yield one

    async def recorded() -> AsyncIterator[Batch]:
        for one in batches:
            yield one

    simulator = Simulator(config.rules, ZONES, ways(config.kinds), START - timedelta(hours=1))
    until = START + timedelta(hours=1)
    return len(await backtest(simulator, known(), recorded(), until, lambda _: None))
