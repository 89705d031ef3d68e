"""A system that shows an older version than it did: restored, or read from a copy that lags."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.sandbox.system import Raw
from service.store import Pool
from tests.harness.corridor import Corridor, begun, copy, kinds

RULES = """
- { id: done, when: task.completed, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
"""
ACCOUNTS = {"london": "plannr", "sales": "rolodex", "field": "kickserv"}


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def done(taskbell: Corridor, account: str) -> tuple[str, Raw]:
    """A task that was made and finished, both of which are known, and how it was before."""
    system = taskbell.sandbox.systems[ACCOUNTS[account]]
    made = system.make(**{system.when: taskbell.clock.now() + timedelta(hours=2)})
    task_id = taskbell.sources[account].identify(made) or ""
    await taskbell.poll(account)
    before = copy(system.tasks[task_id])
    taskbell.clock.advance(timedelta(minutes=10))
    system.finish(task_id)
    await taskbell.poll(account)
    taskbell.clock.advance(timedelta(minutes=10))
    return task_id, before


async def scan(taskbell: Corridor, account: str, *, seconds: float = 2) -> None:
    """A full scan, and what it makes be read by id."""
    await taskbell.poll(account, full=True)
    await taskbell.look_up(account)
    taskbell.clock.advance(timedelta(seconds=seconds))


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_a_restored_backup_counts(taskbell: Corridor, account: str) -> None:
    """A task that was done is open again with its old date: one event, and its due time is told."""
    task_id, before = await done(taskbell, account)
    taskbell.sandbox.systems[ACCOUNTS[account]].tasks[task_id] = before
    for _ in range(10):
        await scan(taskbell, account)
    told = ["created", "completed", "reopened"]
    assert kinds(await taskbell.events(task_id)) == told
    await taskbell.tick(days=1)
    assert kinds(await taskbell.events(task_id)) == [*told, "overdue"]


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_what_is_known_from_before_a_restore_does_not_come_back(
    taskbell: Corridor, account: str
) -> None:
    """A page asked for before it, and a webhook that comes late, show the newer date, and lose."""
    task_id, before = await done(taskbell, account)
    system = taskbell.sandbox.systems[ACCOUNTS[account]]
    pages = [page async for page in taskbell.sources[account].scan()]
    late = copy(system.whole(task_id))
    system.tasks[task_id] = before
    for _ in range(8):
        await scan(taskbell, account)
    for page in pages:
        await taskbell.worker.polls[account]._take(page)
    await taskbell.webhook({"event": "task.updated", "data": late}, account)
    for _ in range(8):
        await scan(taskbell, account)
    told = ["created", "completed", "reopened"]
    assert kinds(await taskbell.events(task_id)) == told
    system.finish(task_id)
    await scan(taskbell, account)
    assert kinds(await taskbell.events(task_id)) == [*told, "completed"]


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_what_came_before_a_restore_and_was_read_after_it_is_no_news(
    taskbell: Corridor, account: str
) -> None:
    """A webhook waits while a backup is restored and read: the system is asked which is right."""
    system = taskbell.sandbox.systems[ACCOUNTS[account]]
    made = system.make(**{system.when: taskbell.clock.now() + timedelta(days=2)})
    task_id = taskbell.sources[account].identify(made) or ""
    await taskbell.poll(account)
    before = copy(system.tasks[task_id])
    taskbell.clock.advance(timedelta(minutes=10))
    system.finish(task_id)
    await taskbell.receive({"event": "task.updated", "data": copy(system.whole(task_id))}, account)
    taskbell.clock.advance(timedelta(minutes=1))
    system.tasks[task_id] = {**before, system.title: "Another title"}
    await taskbell.poll(account, full=True)
    await taskbell.ingest()
    for _ in range(8):
        await scan(taskbell, account, seconds=60)
    assert kinds(await taskbell.events(task_id)) == ["created", "changed"]


@pytest.mark.parametrize("account", ACCOUNTS)
async def test_a_copy_that_lags_is_not_believed(taskbell: Corridor, account: str) -> None:
    """For some seconds lists and reads show what was, now and then or all the time: no event."""
    task_id, before = await done(taskbell, account)
    system = taskbell.sandbox.systems[ACCOUNTS[account]]
    now = system.tasks[task_id]
    for shown in (before, now, before, before, now, now):
        system.tasks[task_id] = shown
        await scan(taskbell, account)
    taskbell.clock.advance(timedelta(minutes=1))
    for _ in range(3):
        await scan(taskbell, account)
    assert kinds(await taskbell.events(task_id)) == ["created", "completed"]


@pytest.mark.parametrize("lag", [5, 30, 120])
@pytest.mark.parametrize("account", ACCOUNTS)
async def test_what_was_pushed_is_not_taken_back_by_reads_that_lag(
    taskbell: Corridor, account: str, lag: int
) -> None:
    """The webhook has the task done; lists and reads by id show it open for a while longer."""
    system = taskbell.sandbox.systems[ACCOUNTS[account]]
    made = system.make(**{system.when: taskbell.clock.now() + timedelta(days=2)})
    task_id = taskbell.sources[account].identify(made) or ""
    await taskbell.poll(account)
    before = copy(system.tasks[task_id])
    taskbell.clock.advance(timedelta(minutes=10))
    system.finish(task_id)
    after, pushed = system.tasks[task_id], copy(system.whole(task_id))
    system.tasks[task_id] = before
    await taskbell.webhook({"event": "task.completed", "data": pushed}, account)
    for seconds in range(0, 300, 5):
        system.tasks[task_id] = before if seconds < lag else after
        hint = {"event": "task.updated", "data": {"id": task_id, "uuid": task_id, "n": seconds}}
        await taskbell.webhook(hint, account)
        taskbell.clock.advance(timedelta(seconds=1))
        await taskbell.look_up(account)
        await scan(taskbell, account, seconds=4)
    assert kinds(await taskbell.events(task_id)) == ["created", "completed"]
    left = await taskbell.pool.fetchval(
        "SELECT (SELECT count(*) FROM announcements) + (SELECT count(*) FROM lookups)"
    )
    assert left == 0


async def test_changes_in_the_hour_that_comes_twice_are_seen(taskbell: Corridor) -> None:
    """Its dates are local time without an offset: what is changed later has an earlier date."""
    task_id, _ = await done(taskbell, "sales")
    rolodex = taskbell.sandbox.rolodex
    stamped = rolodex.tasks[task_id]["updated_at"]
    early = (taskbell.clock.now() - timedelta(minutes=50)).isoformat()
    assert early < stamped
    rolodex.reopen(task_id)
    rolodex.tasks[task_id]["updated_at"] = early
    await taskbell.webhook({"data": copy(rolodex.whole(task_id))}, "sales")
    await taskbell.look_up("sales")
    taskbell.clock.advance(timedelta(seconds=10))
    await taskbell.look_up("sales")
    told = ["created by poll", "completed by poll", "reopened by webhook"]
    assert await taskbell.events(task_id) == told


async def test_a_webhook_about_what_was_is_no_news(taskbell: Corridor) -> None:
    """It was long on its way: the system is asked, and shows what is known."""
    task_id, before = await done(taskbell, "london")
    taskbell.sandbox.plannr.record.requests.clear()
    await taskbell.webhook({"event": "task.updated", "data": before}, "london")
    await taskbell.look_up("london")
    assert len(taskbell.sandbox.plannr.record.requests) == 1
    assert kinds(await taskbell.events(task_id)) == ["created", "completed"]


async def test_a_date_of_some_hours_to_come_hides_nothing(taskbell: Corridor) -> None:
    """A clock over there was five hours ahead; what is changed after it is right is told."""
    plannr = taskbell.sandbox.plannr
    plannr.set_quirks(skew=5 * 3600)
    task_id, _ = await done(taskbell, "london")
    plannr.set_quirks(skew=0)
    plannr.reopen(task_id)
    for _ in range(8):
        await taskbell.poll("london")
        await taskbell.look_up("london")
        taskbell.clock.advance(timedelta(seconds=2))
    assert kinds(await taskbell.events(task_id)) == ["created", "completed", "reopened"]
