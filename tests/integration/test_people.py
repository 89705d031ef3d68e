"""People are who they are, whatever they are called and in whatever order they come."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.sandbox.kickserv import customer, employee
from service.store import Pool
from tests.harness.corridor import Corridor, begun, copy, kinds

MINUTE = timedelta(minutes=1)
RULES = """
- { id: yours, when: task.reassigned, then: [{ notify: slack:#office, text: "You now have it" }] }
- { id: whose, when: task.changed, then: [{ notify: slack:#office, text: "It is changed" }] }
- { id: done, when: task.completed,
    then: [{ notify: slack:#office, text: "{{ task.assignee.name }}, {{ task.customer.phone }}" }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def told(taskbell: Corridor, task_id: object) -> list[str]:
    """What happened to a task since it was made."""
    return [kind for kind in kinds(await taskbell.events(task_id)) if kind != "created"]


async def test_employees_in_another_order_are_the_same(taskbell: Corridor) -> None:
    """Polled or pushed: nothing happened, and the first is who was first."""
    kickserv, team = taskbell.sandbox.kickserv, [employee("Bo Reed"), employee("Ann Lee", 5)]
    visit = taskbell.visit(employees=team)
    await taskbell.poll()
    kickserv.change(str(visit["id"]), employees=team[::-1])
    await taskbell.poll()
    await taskbell.webhook(copy(visit) | {"employees": [team[1]["id"], team[0]["id"]]})
    await taskbell.look_up()
    assert await told(taskbell, visit["id"]) == []
    known = await taskbell.snapshot(visit["id"])
    assert known is not None
    assert [one["name"] for one in known["assignees"]] == ["Bo Reed", "Ann Lee"]
    assert known["assignee"]["name"] == "Bo Reed"


async def test_new_names_and_phones_are_used_and_are_no_news(taskbell: Corridor) -> None:
    """Somebody married, a customer has another phone: the next message has both."""
    kickserv = taskbell.sandbox.kickserv
    visit = taskbell.visit(employees=[employee("Bo Reed")], customer=customer("Ida Smith"))
    await taskbell.poll()
    kickserv.change(
        str(visit["id"]),
        employees=[employee("Bo Reed") | {"last_name": "Jones", "email": "bo.jones@field.test"}],
        customer=customer("Ida Smith") | {"phone": "+1 415 555 0199"},
        job={**visit["job"], "name": "Gutters and roof"},
    )
    await taskbell.poll()
    assert await told(taskbell, visit["id"]) == []
    kickserv.finish(str(visit["id"]))
    await taskbell.poll()
    await taskbell.deliver()
    assert "Bo Jones, +1 415 555 0199" in taskbell.posts


async def test_a_push_with_less_says_nothing_new(taskbell: Corridor) -> None:
    """Rolodex pushes ids in place of people, in another order: what is told is the completion."""
    rolodex = taskbell.sandbox.rolodex
    task = rolodex.make(contacts=["contact_123", "contact_456"], tags=["tag_101", "tag_102"])
    await taskbell.poll("sales")
    done = copy(rolodex.finish(task["id"]))
    done |= {"assignee": "user_456", "creator": "user_789"}
    done |= {"contacts": ["contact_456", "contact_123"], "tags": done["tags"][::-1]}
    await taskbell.webhook(done, "sales")
    await taskbell.poll("sales")
    assert await told(taskbell, task["id"]) == ["completed"]
    known = await taskbell.snapshot(task["id"])
    assert known is not None
    assert known["assignee"]["name"] == "Alice Smith"
    assert known["customer"]["name"] == "John Doe"


async def test_contacts_in_another_order_are_the_same(taskbell: Corridor) -> None:
    """Whom the task is for is still among them."""
    rolodex = taskbell.sandbox.rolodex
    task = rolodex.make(contacts=["contact_123", "contact_456"])
    await taskbell.poll("sales")
    rolodex.change(task["id"], contacts=["contact_456", "contact_123"])
    await taskbell.poll("sales")
    assert await told(taskbell, task["id"]) == []
    rolodex.change(task["id"], contacts=["contact_456"])
    await taskbell.poll("sales")
    assert await told(taskbell, task["id"]) == ["changed"]


async def test_a_list_that_became_an_object_holds_the_same_people(taskbell: Corridor) -> None:
    """PHP numbers what is left of a list, and Plannr writes that down as an object."""
    plannr = taskbell.sandbox.plannr
    people = [
        {"uuid": "a-1", "name": "Alice Smith", "email": "alice@x.test"},
        {"uuid": "a-2", "name": "Bo Reed", "email": "bo@x.test"},
    ]
    fields = [{"reference": "region", "value": "north"}]
    task = plannr.make(assigned_to=people, custom_fields=fields)
    await taskbell.poll("london")
    taskbell.clock.advance(MINUTE)
    plannr.change(
        task["uuid"],
        assigned_to={"1": people[1], "2": people[0] | {"name": "Alice Jones"}},
        custom_fields={"1": fields[0]},
    )
    await taskbell.poll("london")
    assert await told(taskbell, task["uuid"]) == []
    known = await taskbell.snapshot(task["uuid"])
    assert known is not None
    assert known["assignee"]["name"] == "Alice Jones"
    assert known["fields"]["region"] == "north"
