"""A webhook says that something has happened, and the system does not show it yet."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.system import Raw
from service.store import Pool
from service.store.views import api_lists, listing
from tests.harness.corridor import Corridor, begun, copy, kinds

RULES = """
- { id: made, when: task.created, then: [{ notify: accounting }] }
- { id: done, when: task.completed, if: task.done, then: [{ notify: accounting }] }
- { id: leaving, when: { signal: leaving }, then: [{ notify: accounting }] }
- { id: home, when: { signal: home }, then: [{ notify: accounting }] }
"""
PAUSES = (2, 5, 15, 60, 180)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync; there is a task that its token can see."""
    async with begun(folder, pool, clock, RULES) as running:
        running.sandbox.plannr.make()
        await running.poll("london")
        await running.pool.execute("TRUNCATE events")
        yield running


async def look_after(taskbell: Corridor, *pauses: int) -> None:
    """Look each time as soon as so many seconds have passed, and not before."""
    for seconds in pauses:
        calls = len(taskbell.sandbox.plannr.record.requests)
        await taskbell.look_up("london")
        assert len(taskbell.sandbox.plannr.record.requests) == calls
        taskbell.clock.advance(timedelta(seconds=seconds))
        await taskbell.look_up("london")


async def announce(taskbell: Corridor, event: str, task_id: str, **content: Any) -> int:
    """A webhook with little more than an id comes and is read; its receipt."""
    body = {"event": event, "data": {"uuid": task_id, **content}}
    receipt = await taskbell.receive(body, "london")
    await taskbell.ingest()
    await taskbell.look_up("london")
    return receipt


async def known(taskbell: Corridor, **fields: Any) -> str:
    """A task that Taskbell knows of; its id."""
    uuid = str(taskbell.sandbox.plannr.make(**fields)["uuid"])
    await taskbell.poll("london")
    taskbell.clock.advance(timedelta(minutes=1))
    return uuid


async def told(taskbell: Corridor, task_id: str) -> list[str]:
    return kinds(await taskbell.events(task_id))


async def reason(taskbell: Corridor, receipt: int) -> str | None:
    page = await listing.read_page(taskbell.pool, api_lists.RECEIPTS, {}, 50)
    [found] = [row["reason"] for row in page.rows if row["id"] == receipt]
    return None if found is None else str(found)


async def nothing_is_left(taskbell: Corridor) -> bool:
    left = await taskbell.pool.fetchval(
        "SELECT (SELECT count(*) FROM announcements) + (SELECT count(*) FROM lookups)"
    )
    return bool(left == 0)


def hide(taskbell: Corridor, task_id: str) -> Raw:
    """As a transaction that is not committed: the task is not there yet."""
    return taskbell.sandbox.plannr.tasks.pop(task_id)


@pytest.mark.parametrize("looks", [1, 2, 5])
async def test_a_completion_that_shows_late_is_told_within_seconds(
    taskbell: Corridor, looks: int
) -> None:
    """A copy from which is read is behind: the task is read again until it is done."""
    task_id = await known(taskbell)
    receipt = await announce(taskbell, "task.completed", task_id)
    await look_after(taskbell, *PAUSES[: looks - 1])
    assert await told(taskbell, task_id) == ["created"]
    taskbell.sandbox.plannr.finish(task_id)
    await look_after(taskbell, PAUSES[looks - 1])
    assert await taskbell.events(task_id) == ["created by poll", "completed by webhook"]
    assert await reason(taskbell, receipt) is None
    assert await nothing_is_left(taskbell)


async def test_a_task_that_shows_late_is_created_and_completed(taskbell: Corridor) -> None:
    """It is announced as new, and as done, while the system says that there is no such task."""
    task_id = str(taskbell.sandbox.plannr.make()["uuid"])
    taskbell.sandbox.plannr.finish(task_id)
    task = hide(taskbell, task_id)
    await announce(taskbell, "task.created", task_id)
    await announce(taskbell, "task.completed", task_id)
    await look_after(taskbell, 2)
    assert await told(taskbell, task_id) == []
    taskbell.sandbox.plannr.tasks[task_id] = task
    await look_after(taskbell, 5)
    assert await told(taskbell, task_id) == ["created", "completed"]
    assert await nothing_is_left(taskbell)


async def test_a_webhook_of_before_shows_nothing_that_was_announced(taskbell: Corridor) -> None:
    """A task was thrown away and is restored, which reads do not show yet; old news is late."""
    plannr = taskbell.sandbox.plannr
    task_id = str(plannr.make()["uuid"])
    before = copy(plannr.whole(task_id))
    task = hide(taskbell, task_id)
    plannr.faults.set(Fault(FaultKind.FAILED))
    await announce(taskbell, "task.created", task_id)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.receive({"data": before}, "london")
    await taskbell.ingest()
    await taskbell.look_up("london")
    plannr.tasks[task_id] = task
    for seconds in PAUSES:
        taskbell.clock.advance(timedelta(seconds=seconds))
        await taskbell.look_up("london")
    assert await taskbell.snapshot(task_id) is not None
    assert await nothing_is_left(taskbell)


async def test_a_deletion_that_shows_late_is_told(taskbell: Corridor) -> None:
    """The task is still there for a moment."""
    task_id = await known(taskbell)
    await announce(taskbell, "task.deleted", task_id)
    await look_after(taskbell, 2)
    hide(taskbell, task_id)
    await look_after(taskbell, 5)
    assert await told(taskbell, task_id) == ["created", "deleted"]
    assert await nothing_is_left(taskbell)


async def test_a_change_that_shows_late_is_told(taskbell: Corridor) -> None:
    """The webhook has the new name; a copy of the system still has the old one."""
    task_id = await known(taskbell, name="Call Smith")
    receipt = await announce(taskbell, "task.updated", task_id, name="Call Jones")
    await look_after(taskbell, 2)
    taskbell.sandbox.plannr.change(task_id, name="Call Jones")
    await look_after(taskbell, 5)
    assert await told(taskbell, task_id) == ["created", "changed"]
    assert await nothing_is_left(taskbell)
    assert await reason(taskbell, receipt) is None


async def test_what_is_to_be_seen_already_takes_one_look(taskbell: Corridor) -> None:
    """A poll was faster, or the webhook has nothing new: nobody looks again."""
    task_id = await known(taskbell, name="Call Smith")
    await announce(taskbell, "task.updated", task_id, name="Call Smith")
    await announce(taskbell, "task.updated", task_id)
    await announce(taskbell, "task.created", task_id)
    assert await nothing_is_left(taskbell)
    assert await told(taskbell, task_id) == ["created"]


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ("task.completed", "does not show that task {} was completed"),
        ("task.deleted", "still shows task {}"),
    ],
)
async def test_an_announcement_makes_up_no_event(taskbell: Corridor, event: str, says: str) -> None:
    """The system goes on saying otherwise: the receipt says so in the end, and nobody is told."""
    task_id = await known(taskbell)
    receipt = await announce(taskbell, event, task_id)
    await look_after(taskbell, *PAUSES)
    assert await told(taskbell, task_id) == ["created"]
    assert says.format(task_id) in str(await reason(taskbell, receipt))
    assert await nothing_is_left(taskbell)
    state = await taskbell.pool.fetchrow("SELECT failures, error FROM accounts WHERE name='london'")
    assert state is not None
    assert tuple(state) == (0, None)


async def test_it_is_waited_for_after_a_restart(taskbell: Corridor) -> None:
    """A new process goes on where the other one stopped."""
    task_id = await known(taskbell)
    await announce(taskbell, "task.completed", task_id)
    await taskbell.restart(RULES)
    taskbell.sandbox.plannr.finish(task_id)
    await look_after(taskbell, 2)
    assert await told(taskbell, task_id) == ["created", "completed"]


async def test_a_recurring_task_is_completed_and_moved_on(taskbell: Corridor) -> None:
    """The webhook says completed, with the task open again a week later: both have happened."""
    task_id = await known(taskbell, due=taskbell.clock.now() + timedelta(days=1))
    due = taskbell.clock.now() + timedelta(days=8)
    raw = copy(taskbell.sandbox.plannr.change(task_id, due=due))
    await taskbell.webhook({"event": "task.completed", "data": raw}, "london")
    await taskbell.poll("london", full=True)
    assert await told(taskbell, task_id) == ["created", "completed", "rescheduled"]
    assert [row["rule"] for row in await taskbell.deliveries("done")] == ["done"]
    assert await nothing_is_left(taskbell)


@pytest.mark.parametrize("first", ["poll", "webhook", "same batch"])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_recurring_task_that_was_seen_moved_on_before_it_is_announced(
    taskbell: Corridor, first: str, *, whole: bool
) -> None:
    """Two webhooks may come of one change, and a poll may be faster: it is completed, once."""
    plannr, clock = taskbell.sandbox.plannr, taskbell.clock
    task_id = await known(taskbell, due=clock.now() + timedelta(hours=1))
    body = copy(plannr.change(task_id, due=clock.now() + timedelta(days=7)))
    if first == "poll":
        await taskbell.poll("london")
    else:
        await taskbell.receive({"event": "task.updated", "data": body}, "london")
    if first == "webhook":
        await taskbell.ingest()
        clock.advance(timedelta(seconds=2))
    content = body if whole else {"uuid": task_id}
    for delivery in range(2):
        message = {"delivery": delivery, "event": "task.completed", "data": content}
        await taskbell.webhook(message, "london")
        await taskbell.look_up("london")
        await look_after(taskbell, *PAUSES)
    assert kinds(await taskbell.events(task_id)).count("completed") == 1
    assert kinds(await taskbell.events(task_id)).count("rescheduled") == 1


async def test_a_task_that_was_put_off_by_hand_is_completed_once(taskbell: Corridor) -> None:
    """Minutes before it was finished: its date that moved on has nothing to do with that."""
    plannr = taskbell.sandbox.plannr
    task_id = await known(taskbell, due=taskbell.clock.now() + timedelta(hours=1))
    plannr.change(task_id, due=taskbell.clock.now() + timedelta(days=7))
    await taskbell.poll("london")
    taskbell.clock.advance(timedelta(minutes=2))
    open_still = copy(plannr.tasks[task_id])
    body = copy(plannr.finish(task_id))
    done, plannr.tasks[task_id] = plannr.tasks[task_id], open_still
    await announce(taskbell, "task.completed", task_id)
    plannr.tasks[task_id] = done
    await look_after(taskbell, *PAUSES)
    await taskbell.webhook({"event": "task.completed", "data": body}, "london")
    await taskbell.poll("london")
    assert kinds(await taskbell.events(task_id))[1:] == ["rescheduled", "completed"]


@pytest.mark.parametrize("by", ["look", "poll"])
async def test_a_recurring_task_that_shows_late(taskbell: Corridor, by: str) -> None:
    """Announced by its id alone, whoever sees first that it has moved on tells of both."""
    task_id = await known(taskbell, due=taskbell.clock.now() + timedelta(days=1))
    receipt = await announce(taskbell, "task.completed", task_id)
    due = taskbell.clock.now() + timedelta(days=8)
    taskbell.sandbox.plannr.change(task_id, due=due)
    if by == "poll":
        taskbell.clock.advance(timedelta(seconds=1))
        await taskbell.poll("london")
    await look_after(taskbell, 2)
    assert await told(taskbell, task_id) == ["created", "completed", "rescheduled"]
    assert await reason(taskbell, receipt) is None
    assert await nothing_is_left(taskbell)


async def test_a_task_that_was_put_off_is_not_completed(taskbell: Corridor) -> None:
    """Nobody said that it was done."""
    task_id = await known(taskbell, due=taskbell.clock.now() + timedelta(days=1))
    due = taskbell.clock.now() + timedelta(days=8)
    raw = copy(taskbell.sandbox.plannr.change(task_id, due=due))
    await taskbell.webhook({"event": "task.updated", "data": raw}, "london")
    assert await told(taskbell, task_id) == ["created", "rescheduled"]


async def test_what_was_pushed_whole_and_is_not_to_be_read_yet(taskbell: Corridor) -> None:
    """Kickserv tells no version, so the push is only a reason to look; a copy is behind."""
    visit = taskbell.visit()
    await taskbell.poll()
    before = copy(visit)
    taskbell.clock.advance(timedelta(minutes=1))
    done = copy(taskbell.sandbox.kickserv.finish(str(visit["id"])))
    for one in (before, done):
        one.pop("updated_at", None)
    await taskbell.pool.execute("UPDATE tasks SET version = NULL")
    taskbell.sandbox.kickserv.tasks[str(visit["id"])] = before
    await taskbell.webhook({"data": done})
    await taskbell.look_up()
    assert await told(taskbell, str(visit["id"])) == ["created"]
    taskbell.sandbox.kickserv.tasks[str(visit["id"])] = done
    taskbell.clock.advance(timedelta(seconds=2))
    await taskbell.look_up()
    assert await told(taskbell, str(visit["id"])) == ["created", "completed"]
    assert await nothing_is_left(taskbell)


async def test_signals_about_a_task_not_known_yet_are_heard_in_order(taskbell: Corridor) -> None:
    """They are kept, over a restart too, until the task shows; then each is heard once."""
    task_id = str(taskbell.sandbox.plannr.make()["uuid"])
    task = hide(taskbell, task_id)
    first = await taskbell.receive({"signal": "leaving", "task": task_id}, "london")
    await taskbell.ingest()
    await taskbell.look_up("london")
    assert "which it does not know yet" in str(await reason(taskbell, first))
    await taskbell.restart(RULES)
    taskbell.sandbox.plannr.tasks[task_id] = task
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.poll("london")
    await taskbell.webhook({"signal": "home", "task": task_id}, "london")
    await look_after(taskbell, 2)
    rows = await taskbell.pool.fetch("SELECT signal FROM events WHERE signal <> '' ORDER BY id")
    assert [row["signal"] for row in rows] == ["leaving", "home"]
    assert str(await reason(taskbell, first)).endswith("the signal was used after that")
    assert await nothing_is_left(taskbell)


async def test_a_signal_about_no_task_says_so(taskbell: Corridor) -> None:
    """It is not kept for ever."""
    receipt = await taskbell.receive({"signal": "leaving", "task": "4712"}, "london")
    await taskbell.ingest()
    await taskbell.look_up("london")
    await look_after(taskbell, *PAUSES)
    assert "signal ignored: london was asked 6 times and has no task 4712" in str(
        await reason(taskbell, receipt)
    )
    assert await nothing_is_left(taskbell)
    assert await taskbell.events() == []
