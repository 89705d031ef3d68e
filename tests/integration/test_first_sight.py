"""What is news is told, whatever was known before: tasks that are first seen when they are done."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.system import TaskSystem
from service.store import Pool
from tests.harness.corridor import Corridor, copy, corridor, kinds

RULES = """
- { id: made, when: task.created, then: [{ notify: accounting }] }
- { id: done, when: task.completed, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
- { id: touched, when: task.changed, then: [{ notify: accounting }] }
- { id: stays, when: task.created, for: 1h, then: [{ notify: accounting }] }
- { id: quiet, when: task.completed, settle: 10m, then: [{ notify: accounting }] }
"""
LONG_AGO = timedelta(days=99)
SYSTEMS = {"field": "kickserv", "london": "plannr", "sales": "rolodex"}


@pytest.fixture
async def fresh(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell whose accounts were never read."""
    async with corridor(folder, pool, clock, RULES) as running:
        yield running


@pytest.fixture
async def taskbell(fresh: Corridor) -> Corridor:
    """A Taskbell after its first sync."""
    await fresh.begin()
    return fresh


def system(taskbell: Corridor, account: str) -> TaskSystem:
    return taskbell.sandbox.systems[SYSTEMS[account]]


def made(taskbell: Corridor, account: str, ago: timedelta = timedelta(0)) -> str:
    """A task that was made in the account so long ago; its id."""
    stamp = (taskbell.clock.now() - ago).isoformat()
    raw = system(taskbell, account).make(created_at=stamp)
    return str(raw.get("uuid", raw.get("id")))


async def events(taskbell: Corridor, task_id: str) -> list[str]:
    return kinds(await taskbell.events(task_id))


@pytest.mark.parametrize("account", SYSTEMS)
@pytest.mark.parametrize("full", [False, True])
async def test_made_and_finished_between_two_polls(
    taskbell: Corridor, account: str, *, full: bool
) -> None:
    """Both have happened, and both are told, in their order and at once."""
    task_id = made(taskbell, account)
    taskbell.clock.advance(timedelta(seconds=30))
    system(taskbell, account).finish(task_id)
    await taskbell.poll(account, full=full)
    await taskbell.poll(account, full=True)
    assert await taskbell.events(task_id) == ["created by poll", "completed by poll"]
    rows = await taskbell.pool.fetch(
        "SELECT decided_at, at, before FROM events WHERE task = $1", task_id
    )
    assert len({*map(tuple, rows)}) == 1
    assert {row["rule"] for row in await taskbell.deliveries()} == {"made", "done"}


@pytest.mark.parametrize("account", SYSTEMS)
async def test_an_old_task_that_nobody_knew_is_completed_and_not_created(
    taskbell: Corridor, account: str
) -> None:
    """It was made before there was Taskbell; it is done since then."""
    task_id = made(taskbell, account, LONG_AGO)
    taskbell.clock.advance(timedelta(days=2))
    raw = copy(system(taskbell, account).finish(task_id))
    await taskbell.webhook({"event": "task.updated", "data": raw}, account)
    assert await taskbell.events(task_id) == ["completed by webhook"]


@pytest.mark.parametrize("account", SYSTEMS)
async def test_what_was_done_before_there_was_taskbell_is_no_news(
    fresh: Corridor, account: str
) -> None:
    """A list that shows more than before, or a change of an old task, completes nothing."""
    fresh.clock.advance(-LONG_AGO)
    task_id = made(fresh, account)
    system(fresh, account).finish(task_id)
    fresh.clock.advance(LONG_AGO)
    system(fresh, account).hidden.add(task_id)
    await fresh.begin()
    raw = copy(system(fresh, account).change(task_id, **{system(fresh, account).title: "New"}))
    await fresh.webhook({"event": "task.updated", "data": raw}, account)
    system(fresh, account).hidden.clear()
    await fresh.poll(account, full=True)
    assert await fresh.events() == []


@pytest.mark.parametrize("account", SYSTEMS)
async def test_what_is_announced_is_news_however_old(fresh: Corridor, account: str) -> None:
    """The system itself says that it was completed: its date is of no matter."""
    fresh.clock.advance(-LONG_AGO)
    task_id = made(fresh, account)
    raw = copy(system(fresh, account).finish(task_id))
    fresh.clock.advance(LONG_AGO)
    system(fresh, account).hidden.add(task_id)
    await fresh.begin()
    await fresh.webhook({"event": "task.completed", "data": raw}, account)
    assert await fresh.events(task_id) == ["completed by webhook"]


@pytest.mark.parametrize("account", SYSTEMS)
async def test_the_first_sync_is_silent_about_what_is_done(fresh: Corridor, account: str) -> None:
    """Also about what was completed while it failed: only what is pushed is no part of it."""
    ids = [made(fresh, account) for _ in "123"]
    system(fresh, account).faults.set(Fault(FaultKind.FAILED, times=9))
    await fresh.poll(account)
    system(fresh, account).faults.clear()
    fresh.clock.advance(timedelta(days=2))
    for task_id in ids:
        system(fresh, account).finish(task_id)
    await fresh.webhook({"data": copy(system(fresh, account).tasks[ids[0]])}, account)
    await fresh.poll(account, full=True)
    await fresh.poll(account, full=True)
    assert await events(fresh, ids[0]) == ["created", "completed"]
    assert [await events(fresh, one) for one in ids[1:]] == [[], []]


async def test_a_task_that_was_gone_and_comes_back_done(taskbell: Corridor) -> None:
    """It was open when it was last seen, so it was finished since; one that was done was not."""
    plannr, ids = taskbell.sandbox.plannr, [made(taskbell, "london") for _ in "12"]
    plannr.finish(ids[1])
    await taskbell.poll("london", full=True)
    kept = [plannr.tasks.pop(one) for one in ids]
    for one in ids:
        await taskbell.webhook({"event": "task.deleted", "data": {"uuid": one}}, "london")
    plannr.make()  # something has to be there that a token can see
    await taskbell.poll("london")
    await taskbell.look_up("london")
    taskbell.clock.advance(timedelta(minutes=5))
    plannr.tasks |= dict(zip(ids, kept, strict=True))
    plannr.finish(ids[0])
    await taskbell.poll("london", full=True)
    assert await last_events(taskbell, ids[0]) == "completed"
    assert "completed" not in (await events(taskbell, ids[1]))[2:]


async def last_events(taskbell: Corridor, task_id: str) -> str:
    return (await events(taskbell, task_id))[-1]


async def test_a_completion_on_the_day_of_the_baseline_is_news_of_a_task_made_since(
    taskbell: Corridor,
) -> None:
    """Kickserv says only on which day: before the baseline or after it, nobody can tell.

    So an old visit that turns up is taken up in silence, and one that was made since then is done
    since then. From the next day on the day is enough.
    """
    old, new = made(taskbell, "field", LONG_AGO), made(taskbell, "field")
    for one in (old, new):
        taskbell.sandbox.kickserv.finish(one)
    await taskbell.poll()
    assert await events(taskbell, old) == []
    assert await events(taskbell, new) == ["created", "completed"]
    later = made(taskbell, "field", LONG_AGO)
    taskbell.clock.advance(timedelta(days=1))
    taskbell.sandbox.kickserv.change(later, scheduled_at=taskbell.clock.now())
    taskbell.sandbox.kickserv.finish(later)
    await taskbell.poll()
    assert await events(taskbell, later) == ["completed"]


async def test_the_clock_has_nothing_to_say_of_it(taskbell: Corridor) -> None:
    """What is done is not late; opened again, its date that is past does not ring."""
    late = taskbell.clock.now() - timedelta(days=3)
    task_id = str(taskbell.sandbox.plannr.make(due=late)["uuid"])
    taskbell.sandbox.plannr.finish(task_id)
    await taskbell.poll("london")
    await taskbell.tick(hours=1)
    assert await events(taskbell, task_id) == ["created", "completed"]


async def test_a_rule_that_waits_hears_of_it(taskbell: Corridor) -> None:
    """`settle` tells of the completion, and `for` does not tell that a done task was made."""
    task_id = made(taskbell, "london")
    taskbell.sandbox.plannr.finish(task_id)
    await taskbell.poll("london")
    await taskbell.tick(hours=2)
    assert {row["rule"] for row in await taskbell.deliveries()} == {"made", "done", "quiet"}
    assert any("the task was completed" in reason for reason in await taskbell.reasons())


async def test_nothing_was_changed_of_what_was_never_seen(taskbell: Corridor) -> None:
    """A rule about changes compares two looks; here there is only one."""
    task_id = made(taskbell, "london")
    taskbell.sandbox.plannr.finish(task_id)
    await taskbell.poll("london")
    assert await taskbell.deliveries("touched") == []
    taskbell.clock.advance(timedelta(minutes=1))
    taskbell.sandbox.plannr.reopen(task_id)
    await taskbell.poll("london")
    assert len(await taskbell.deliveries("touched")) == 1


async def test_a_completion_is_news_of_a_task_that_does_not_say_when_it_was_made(
    taskbell: Corridor,
) -> None:
    """It is told as new, and it was done on the day of the baseline or later."""
    raw = taskbell.sandbox.kickserv.make()
    taskbell.sandbox.kickserv.finish(str(raw["id"]))
    del raw["created_at"]
    await taskbell.poll()
    assert await events(taskbell, str(raw["id"])) == ["created", "completed"]
