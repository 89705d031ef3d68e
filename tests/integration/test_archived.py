"""A task that was put away: it is not done, and nobody works on it any more."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.sandbox.plannr import FILED, OPEN, naive
from service.store import Pool
from tests.harness.corridor import Corridor, begun, kinds

RULES = """
- { id: late, when: task.overdue, hours: office, then: [{ notify: accounting }] }
- { id: soon, when: { task.due_soon: 1h }, then: [{ notify: accounting }] }
- { id: asked, when: { task.changed: [archived] }, if: task.archived,
    then: [{ notify: slack:#office, text: "Put away: {{ task.title }}" }] }
"""
HOUR = timedelta(hours=1)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def due_in(taskbell: Corridor, hours: int) -> str:
    """A task that is due so many hours from now; its id."""
    task = taskbell.sandbox.plannr.make(due_at=naive(taskbell.clock.now() + hours * HOUR))
    await taskbell.poll("london")
    return str(task["uuid"])


async def change(taskbell: Corridor, task: str, **fields: object) -> None:
    await taskbell.tick(minutes=5)
    taskbell.sandbox.plannr.change(task, **fields)
    await taskbell.poll("london")


async def test_what_was_put_away_rings_no_bell(taskbell: Corridor) -> None:
    """Its due time passes and nobody is told; who asks hears that it was put away."""
    task = await due_in(taskbell, 2)
    await change(taskbell, task, status=FILED)
    await taskbell.tick(hours=9)
    await taskbell.deliver()
    assert kinds(await taskbell.events(task)) == ["created", "changed"]
    assert taskbell.posts == ["Put away: Document the transaction"]
    assert await taskbell.states("late") == await taskbell.states("soon") == []


async def test_what_is_in_use_again_rings_for_what_is_to_come(taskbell: Corridor) -> None:
    """What passed while it was put away stays quiet; a new date is one like any other."""
    task = await due_in(taskbell, 2)
    await change(taskbell, task, status=FILED)
    await taskbell.tick(hours=9)
    await change(taskbell, task, status=OPEN)
    await taskbell.tick(hours=1)
    assert kinds(await taskbell.events(task)) == ["created", "changed", "changed"]
    await change(taskbell, task, due_at=naive(taskbell.clock.now() + 4 * HOUR))
    await taskbell.tick(minutes=210)
    await taskbell.tick(hours=1)
    assert kinds(await taskbell.events(task))[3:] == ["rescheduled", "due_soon", "overdue"]


async def test_a_held_alarm_is_withdrawn(taskbell: Corridor) -> None:
    """Overdue at night, put away before the office opens: nobody is told in the morning."""
    task = await due_in(taskbell, 16)
    await taskbell.tick(hours=17)
    await change(taskbell, task, status=FILED)
    [late] = await taskbell.deliveries("late")
    assert (late["state"], late["reason"]) == ("cancelled", "cancelled: the task was changed")


async def test_what_is_done_may_be_put_away(taskbell: Corridor) -> None:
    """A completion is told, and putting away what is done is a change like any other."""
    task = await due_in(taskbell, 2)
    await taskbell.tick(minutes=5)
    taskbell.sandbox.plannr.finish(task)
    await taskbell.poll("london")
    await change(taskbell, task, status=FILED | {"is_type_completed": True})
    assert kinds(await taskbell.events(task)) == ["created", "completed", "changed"]
