"""A system that says no in an answer that says yes, and messages for nobody."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from tests.harness.corridor import Corridor, begun

RULES = """
- id: on-the-way
  when: task.created
  then:
    - notify: customer:on_the_way
      on_fail: [{ notify: slack:#office, text: "{{ failure }}" }]
- { id: yours, when: task.created, if: task.title == "Yours", then: [{ notify: employee }] }
- { id: later, when: task.created, if: task.title == "Later",
    then: [{ wait: 1h }, { notify: employee }] }
- { id: call, when: task.completed, then: [{ create_task: { title: Call, type: job } }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def test_a_message_that_is_denied_has_failed(taskbell: Corridor) -> None:
    """Nobody was told, so what is done instead is done, with the system's own words."""
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.DENIED, method="POST"))
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    await taskbell.deliver()
    assert await taskbell.states("on-the-way") == ["failed", "sent"]
    assert taskbell.told == []
    [post] = taskbell.posts
    assert "was refused by the system (200): Customer has no mobile number" in post


async def test_a_write_that_is_denied_has_failed(taskbell: Corridor) -> None:
    """It is not looked for, and not made again."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.DENIED, method="POST", path="tasks.json"))
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
    await taskbell.deliver()
    assert await taskbell.states("call") == ["failed"]
    assert taskbell.sandbox.kickserv.record.writes == []


async def test_an_employee_is_told_only_where_somebody_is_assigned(taskbell: Corridor) -> None:
    """Of another task the message is skipped, and says why."""
    await taskbell.webhook(taskbell.visit(name="Yours", employees=[], customer=None))
    [message] = await taskbell.deliveries("yours")
    assert message["state"] == "skipped"
    assert message["reason"] == "nobody to send to: no one is assigned to the task"
    await taskbell.webhook(taskbell.visit(name="Yours"))
    await taskbell.deliver()
    assert await taskbell.states("yours") == ["skipped", "sent"]
    assert "employee" in taskbell.told


async def test_an_employee_who_went_before_it_was_sent_is_not_told(taskbell: Corridor) -> None:
    """What waited is asked once more whom it is for, by what is known of the task by then."""
    kickserv = taskbell.sandbox.kickserv
    kept, left = (taskbell.visit(name="Later", customer=None) for _ in "12")
    await taskbell.poll()
    kickserv.change(str(left["id"]), employees=[])
    await taskbell.poll()
    taskbell.clock.advance(timedelta(hours=1))
    await taskbell.poll()
    await taskbell.deliver()
    by_task = {one["task"]: one for one in await taskbell.deliveries("later")}
    assert by_task[str(kept["id"])]["state"] == "sent"
    message = by_task[str(left["id"])]
    assert message["state"] == "skipped"
    assert message["reason"] == "nobody to send to: no one is assigned to the task"
    assert taskbell.told.count("employee") == 1
