"""A person acknowledges a task: once, as an event, until the task is another one."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Person
from service.store import Pool
from service.store.operators import answers
from service.store.operators.answers import NoSuchTask, NotAnswered
from tests.harness.corridor import Corridor, begun

RULES = """
- id: seen
  when: task.acknowledged
  then:
    - notify: slack:#office
      text: "{{ task.acknowledged_by.name }} has it: {{ task.title }}"
- id: nobody
  when: task.rescheduled
  if: '!task.acknowledged'
  then: [{ notify: slack:#office, text: "nobody has {{ task.title }}" }]
- id: chase
  when: task.created
  then:
    - wait: 1h
    - notify: slack:#office
      text: "still waiting: {{ task.title }}"
  until: task.acknowledged
"""
ANN = Actor("Ann")


@pytest.fixture
async def taskbell(folder: Path, pool: Pool, clock: VirtualClock) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def acknowledge(taskbell: Corridor, task: object, name: str = "Ann") -> None:
    key = "field", str(task)
    person = Person(name=name)
    await answers.acknowledge(taskbell.pool, key, person, taskbell.clock.now(), by=ANN)
    await taskbell.ingest()


async def test_it_is_an_event_with_the_name_of_the_person(taskbell: Corridor) -> None:
    """Rules act on it, and what waits for it ends."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    await acknowledge(taskbell, visit["id"])
    assert await taskbell.events(visit["id"]) == ["created by webhook", "acknowledged by person"]
    await taskbell.tick(hours=2)
    await taskbell.deliver()
    assert taskbell.posts == ["Ann has it: Leak"]
    assert await taskbell.states("chase") == ["cancelled"]


async def test_it_outlives_what_does_not_change_the_task(taskbell: Corridor) -> None:
    """Neither a poll nor a new description takes it back; the system knows nothing of it."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    await acknowledge(taskbell, visit["id"])
    await taskbell.poll(full=True)
    taskbell.sandbox.kickserv.change(str(visit["id"]), description="bring a pump")
    await taskbell.poll(full=True)
    known = await taskbell.snapshot(visit["id"])
    assert known is not None
    assert (known["acknowledged"], known["acknowledged_by"]["name"]) == (True, "Ann")


async def test_it_ends_when_the_task_is_another_one(taskbell: Corridor) -> None:
    """The visit is moved: who has acknowledged the old date does not know of the new one."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    await acknowledge(taskbell, visit["id"])
    taskbell.sandbox.kickserv.change(
        str(visit["id"]), scheduled_at=taskbell.clock.now() + timedelta(days=3)
    )
    await taskbell.poll(full=True)
    await taskbell.deliver()
    assert taskbell.posts == ["Ann has it: Leak", "nobody has Leak"]
    known = await taskbell.snapshot(visit["id"])
    assert known is not None
    assert (known["acknowledged"], known["acknowledged_by"]) == (False, None)


async def test_only_the_first_one_counts(taskbell: Corridor) -> None:
    """The second person reads who was faster, even before a worker processed the first answer."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    await answers.acknowledge(
        taskbell.pool, ("field", str(visit["id"])), Person(name="Ann"), taskbell.clock.now(), by=ANN
    )
    with pytest.raises(NotAnswered, match="a moment ago"):
        await acknowledge(taskbell, visit["id"], "Bo")
    await taskbell.ingest()
    with pytest.raises(NotAnswered, match="Ann has already acknowledged the task"):
        await acknowledge(taskbell, visit["id"], "Bo")
    assert (await taskbell.events(visit["id"]))[1:] == ["acknowledged by person"]


async def test_what_is_done_or_unknown_cannot_be_acknowledged(taskbell: Corridor) -> None:
    """Nobody needs to take care of it, so nothing is stored."""
    with pytest.raises(NoSuchTask):
        await acknowledge(taskbell, "404")
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    taskbell.sandbox.kickserv.finish(str(visit["id"]))
    await taskbell.poll(full=True)
    with pytest.raises(NotAnswered, match="already done"):
        await acknowledge(taskbell, visit["id"])


async def test_a_completion_that_comes_first_wins(taskbell: Corridor) -> None:
    """The button was pressed in time, but the worker hears of the completion first: no event."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    key = "field", str(visit["id"])
    await answers.acknowledge(taskbell.pool, key, Person(name="Ann"), taskbell.clock.now(), by=ANN)
    taskbell.sandbox.kickserv.finish(str(visit["id"]))
    await taskbell.poll(full=True)
    await taskbell.ingest()
    assert "acknowledged by person" not in await taskbell.events(visit["id"])
    assert await taskbell.pool.fetchval("SELECT count(*) FROM acknowledgements") == 0
