"""`escalate`: further messages until somebody has seen to the task; then it stops everywhere."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Person, State
from service.outbox import attempts
from service.outbox.claims import AttemptResult
from service.sandbox.kickserv import employee
from service.store import Pool
from service.store.operators import answers
from tests.harness.corridor import Corridor, begun

RULES = """
- id: urgent
  when: task.created
  then:
    - notify: slack:#office
      text: "New: {{ task.title }}"
  escalate:
    - { notify: "slack:#dispatch", after: 15m, text: "Nobody has {{ task.title }}" }
    - { notify: accounting, after: 30m }
- id: plain
  when: task.created
  then:
    - notify: slack:#office
      text: "Plain: {{ task.title }}"
"""


@pytest.fixture
async def taskbell(folder: Path, pool: Pool, clock: VirtualClock) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def pass_by(taskbell: Corridor, minutes: float) -> None:
    await taskbell.tick(minutes=minutes)
    await taskbell.deliver()


async def acknowledge(taskbell: Corridor, task: object) -> None:
    key = "field", str(task)
    now = taskbell.clock.now()
    await answers.acknowledge(taskbell.pool, key, Person(name="Ann"), now, by=Actor("Ann"))
    await taskbell.ingest()
    await taskbell.deliver()


async def test_it_goes_on_until_somebody_acknowledges(taskbell: Corridor) -> None:
    """The next one is told after the time given; what was told says who has it."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    await taskbell.deliver()
    assert sorted(taskbell.posts) == ["New: Leak", "Plain: Leak"]
    await pass_by(taskbell, 14)
    assert "Nobody has Leak" not in taskbell.posts
    await pass_by(taskbell, 1)
    assert "Nobody has Leak" in taskbell.posts
    await acknowledge(taskbell, visit["id"])
    await pass_by(taskbell, 60)
    assert taskbell.accounting.requests == []
    said = "(Ann acknowledged the task, Fri 6 Mar 2026, 07:16)"
    assert sorted(taskbell.posts) == [
        f"New: Leak\n{said}",
        f"Nobody has Leak\n{said}",
        "Plain: Leak",
    ]
    reasons = [one["reason"] for one in await taskbell.deliveries("urgent")]
    assert "cancelled: Ann acknowledged the task" in reasons


async def test_without_an_answer_everyone_is_told_once(taskbell: Corridor) -> None:
    """Each step once, in its order, and then it ends."""
    await taskbell.webhook(taskbell.visit(name="Leak"))
    for _ in range(8):
        await pass_by(taskbell, 15)
    assert sorted(taskbell.posts) == ["New: Leak", "Nobody has Leak", "Plain: Leak"]
    assert len(taskbell.accounting.requests) == 1


@pytest.mark.parametrize("change", ["finish", "delete", "move"])
async def test_it_stops_when_the_task_changes(taskbell: Corridor, change: str) -> None:
    """Nobody needs a message about a task that has changed, and the first message says so."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    await taskbell.deliver()
    kickserv, task_id = taskbell.sandbox.kickserv, str(visit["id"])
    if change == "move":
        later = taskbell.clock.now() + timedelta(days=3)
        kickserv.change(task_id, scheduled_at=later)
        said = "rescheduled"
    elif change == "finish":
        kickserv.finish(task_id)
        said = "completed"
    else:
        kickserv.delete(task_id)
        said = "deleted"
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.poll(full=True)
    await taskbell.look_up()
    await taskbell.deliver()
    await pass_by(taskbell, 120)
    assert taskbell.accounting.requests == []
    [post] = [one for one in taskbell.posts if one.startswith("New")]
    assert f"the task was {said}" in post
    assert "Nobody has Leak" not in taskbell.posts


async def test_what_happens_at_the_same_time_does_not_end_it(
    folder: Path, pool: Pool, clock: VirtualClock
) -> None:
    """A visit is moved and given to another person in one step: the rule about the move goes on."""
    rules = """
- id: moved
  when: task.rescheduled
  then: [{ notify: slack:#office, text: moved }]
  escalate: [{ notify: "slack:#dispatch", after: 5m, text: still }]
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        visit = taskbell.visit(name="Leak")
        await taskbell.webhook(visit)
        later = taskbell.clock.now() + timedelta(days=3)
        taskbell.sandbox.kickserv.change(
            str(visit["id"]), scheduled_at=later, employees=[employee("Cy Young") | {"id": 9}]
        )
        clock.advance(timedelta(minutes=1))
        await taskbell.poll(full=True)
        assert "reassigned by poll" in await taskbell.events(visit["id"])
        await taskbell.deliver()
        await pass_by(taskbell, 6)
        assert taskbell.posts == ["moved", "still"]


async def test_the_next_event_begins_it_anew(taskbell: Corridor) -> None:
    """Who has acknowledged one task has not acknowledged another one."""
    first, second = taskbell.visit(name="Leak"), taskbell.visit(name="Flood")
    await taskbell.webhook(first)
    await taskbell.webhook(second)
    await acknowledge(taskbell, first["id"])
    await pass_by(taskbell, 16)
    told = [one for one in taskbell.posts if one.startswith("Nobody")]
    assert told == ["Nobody has Flood"]


async def test_a_customer_gets_no_button(folder: Path, pool: Pool, clock: VirtualClock) -> None:
    """The customer's own message of the same rule has no link by which they could stop it."""
    rules = """
- id: both
  when: task.created
  then:
    - { notify: "accounting:{{ task.customer.email }}", text: "We come" }
    - { notify: "accounting:bo@x.test", text: "Go there" }
  escalate: [{ notify: "slack:#dispatch", after: 5m, text: still }]
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        visit = taskbell.visit(customer={"id": 1, "name": "Ida", "email_address": "ida@c.test"})
        await taskbell.webhook(visit)
        await taskbell.deliver()
        said = {one.json["data"]["text"]: one.json["data"] for one in taskbell.accounting.requests}
        [customer] = [one for text, one in said.items() if text.startswith("We come")]
        [colleague] = [one for text, one in said.items() if text.startswith("Go there")]
    assert (customer["text"], "answer_at" in customer) == ("We come", False)
    assert colleague["text"] == f"Go there\nAnswer here: {colleague['answer_at']}"


async def test_what_taskbell_writes_itself_does_not_end_it(
    folder: Path, pool: Pool, clock: VirtualClock
) -> None:
    """If a rule moves the visit, nobody has taken care of the task."""
    rules = """
- id: urgent
  when: task.created
  then:
    - notify: slack:#office
      text: new
    - update_task: { start: 2h }
  escalate: [{ notify: "slack:#dispatch", after: 5m, text: still }]
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        visit = taskbell.visit(name="Leak")
        await taskbell.webhook(visit)
        await taskbell.deliver()
        await taskbell.look_up()
        assert await taskbell.events(visit["id"]) == ["created by webhook", "rescheduled by write"]
        await pass_by(taskbell, 6)
        assert taskbell.posts == ["new", "still"]


async def test_it_stops_also_for_a_message_that_could_not_be_sent(taskbell: Corridor) -> None:
    """Somebody acknowledges while Slack does not answer: what was just tried is not tried again."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    await taskbell.deliver()
    await taskbell.tick(minutes=15)
    [claim] = await taskbell.claim("slack")
    await acknowledge(taskbell, visit["id"])
    failed = AttemptResult(claim, State.PLANNED, "no answer", again_at=taskbell.clock.now())
    await attempts.settle(taskbell.pool, [failed], taskbell.clock.now())
    await pass_by(taskbell, 1)
    assert not any(one.startswith("Nobody has Leak") for one in taskbell.posts)
    row = (await taskbell.deliveries("urgent"))[1]
    assert (row["state"], row["reason"]) == ("cancelled", "cancelled: Ann acknowledged the task")
