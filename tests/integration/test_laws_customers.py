"""Law 8: a customer is told only what their system, asked just before, still says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.operators.silences import Silence
from service.outbox import attempts, claiming, operator_actions, silences
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool, accounts
from tests.harness.corridor import Corridor, corridor
from tests.harness.waiting import eventually

RULES = """
- { id: soon, when: { task.starting_soon: 30m }, accounts: [field],
    then: [{ notify: customer:on_the_way }] }
- { id: new, when: task.created, accounts: [field], if: 'task.title != "Secret"',
    expires: 2h, then: [{ wait: 10m }, { notify: customer:details }] }
- { id: office, when: task.deleted, then: [{ notify: "slack:#office", text: Gone }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        yield running


async def visit_soon(taskbell: Corridor) -> str:
    """A visit in an hour is known, and half an hour later its alarm has rung."""
    visit = taskbell.visit(scheduled_at=taskbell.clock.now() + timedelta(hours=1))
    await taskbell.begin()
    await taskbell.tick(minutes=40)
    assert await taskbell.states("soon") == ["planned"]
    return str(visit["id"])


def delete(taskbell: Corridor, task_id: str) -> None:
    taskbell.sandbox.kickserv.delete(task_id)


def finish(taskbell: Corridor, task_id: str) -> None:
    taskbell.sandbox.kickserv.finish(task_id)


def move(taskbell: Corridor, task_id: str) -> None:
    tomorrow = taskbell.clock.now() + timedelta(days=1)
    taskbell.sandbox.kickserv.change(task_id, scheduled_at=tomorrow)


def leave_alone(taskbell: Corridor, task_id: str) -> None:
    taskbell.sandbox.kickserv.change(task_id, employees=[])


def give_away(taskbell: Corridor, task_id: str) -> None:
    other = {"id": 777, "name": "Somebody Else"}
    taskbell.sandbox.kickserv.change(task_id, customer=other)


CHANGES: dict[Callable[[Corridor, str], None], str] = {
    delete: "cancelled: the task was deleted",
    finish: "cancelled: the task is done",
    move: "cancelled: the task's start has changed",
    leave_alone: "cancelled: no one is assigned, so no one is on the way",
    give_away: "cancelled: the task now belongs to another customer",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
async def test_nobody_is_told_what_is_not_so_any_more(
    change: Callable[[Corridor, str], None], taskbell: Corridor
) -> None:
    """Between two polls a visit is called off: its alarm rings, and its customer hears nothing."""
    number = await visit_soon(taskbell)
    change(taskbell, number)
    await taskbell.deliver()
    assert taskbell.told == []
    [delivery] = await taskbell.deliveries("soon")
    assert delivery["state"] == "cancelled"
    assert delivery["reason"] == CHANGES[change]
    assert delivery["attempts"] == 0


async def test_what_the_last_look_shows_is_taken_in_like_any_other(taskbell: Corridor) -> None:
    """The office hears at once, and not with the next poll, that the visit is gone."""
    number = await visit_soon(taskbell)
    delete(taskbell, number)
    await taskbell.deliver()
    await taskbell.deliver()
    assert await taskbell.events(number) == ["starting_soon by clock", "deleted by fetch"]
    assert taskbell.posts == ["Gone"]


async def test_what_still_holds_is_told_once(taskbell: Corridor) -> None:
    """One read before, by the id of the task, and one message."""
    number = await visit_soon(taskbell)
    before = len(taskbell.sandbox.kickserv.record.requests)
    await taskbell.deliver()
    assert taskbell.told == ["on_the_way"]
    asked = taskbell.sandbox.kickserv.record.requests[before:]
    assert [one.partition(" ")[0] for one in asked] == ["GET", "POST"]
    assert number in asked[0]


FAULTS = [FaultKind.FAILED, FaultKind.RESET_BEFORE, FaultKind.TRUNCATED, FaultKind.THROTTLED]


@pytest.mark.parametrize("kind", FAULTS)
async def test_nothing_is_sent_blind(kind: FaultKind, taskbell: Corridor) -> None:
    """While the task cannot be read the message is held, and says why; then it goes out."""
    await visit_soon(taskbell)
    taskbell.sandbox.kickserv.faults.set(Fault(kind, times=1000, method="GET", seconds=5))
    for _ in range(5):
        await taskbell.deliver()
        taskbell.clock.advance(timedelta(minutes=1))
    [delivery] = await taskbell.deliveries("soon")
    assert (delivery["state"], delivery["attempts"]) == ("held", 0)
    assert "could not yet (the task could not be read" in delivery["reason"]
    assert taskbell.told == []
    taskbell.sandbox.kickserv.faults.clear()
    await calm(taskbell)
    assert taskbell.told == ["on_the_way"]


@pytest.mark.parametrize("name", ["scheduled_at", "completed_on"])
async def test_nothing_is_sent_on_a_value_that_cannot_be_read(
    name: str, taskbell: Corridor
) -> None:
    """The task can be read, but not what the message rests on: it is held until that can be."""
    number = await visit_soon(taskbell)
    before = taskbell.sandbox.kickserv.tasks[number][name]
    taskbell.sandbox.kickserv.change(number, **{name: "soonish"})
    await taskbell.deliver()
    [delivery] = await taskbell.deliveries("soon")
    assert taskbell.told == []
    assert (delivery["state"], delivery["attempts"]) == ("held", 0)
    assert delivery["reason"] == (
        "waiting: Taskbell must check the task before it sends this and could not yet"
        f" (the task's {name} could not be read (value: 'soonish'))"
    )
    taskbell.sandbox.kickserv.change(number, **{name: before})
    await calm(taskbell)
    assert taskbell.told == ["on_the_way"]


async def test_what_a_message_does_not_rest_on_holds_nothing_up(taskbell: Corridor) -> None:
    """A date of which it does not speak may be as it is."""
    number = await visit_soon(taskbell)
    taskbell.sandbox.kickserv.change(number, ends_at="soonish")
    await taskbell.deliver()
    assert taskbell.told == ["on_the_way"]


async def calm(taskbell: Corridor) -> None:
    """Breakers close, and what waits for its time comes to it."""
    for _ in range(4):
        taskbell.clock.advance(timedelta(minutes=2))
        await taskbell.deliver()


async def test_what_waited_too_long_to_be_checked_expires(taskbell: Corridor) -> None:
    """A visit that has begun is not announced; the reason names what kept it."""
    await visit_soon(taskbell)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
    for _ in range(20):
        await taskbell.deliver()
        taskbell.clock.advance(timedelta(minutes=2))
    taskbell.sandbox.kickserv.faults.clear()
    await calm(taskbell)
    [delivery] = await taskbell.deliveries("soon")
    assert delivery["state"] == "expired"
    assert "too late: it had to be sent by" in delivery["reason"]
    assert "could not be read" in delivery["reason"]
    assert taskbell.told == []


async def test_the_rule_has_to_match_the_task_as_it_is(taskbell: Corridor) -> None:
    """Its `if` is asked again: a visit renamed meanwhile is none of the customer's business."""
    await taskbell.begin()
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    await taskbell.tick(minutes=11)
    taskbell.sandbox.kickserv.change(str(visit["id"]), name="Secret")
    await taskbell.deliver()
    [delivery] = await taskbell.deliveries("new")
    assert delivery["state"] == "cancelled"
    assert delivery["reason"] == (
        "cancelled: the task no longer meets the rule's conditions"
        ' (task.title != "Secret" is not true)'
    )


async def test_a_new_task_that_is_not_shown_yet_is_waited_for(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A webhook outran its own system: "there is none" is not believed for two minutes."""
    rules = "- { id: new, when: task.created, then: [{ notify: customer:details }] }"
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        visit = taskbell.visit()
        await taskbell.webhook(visit)
        kickserv = taskbell.sandbox.kickserv
        hidden = kickserv.tasks.pop(str(visit["id"]))
        await taskbell.deliver()
        assert await taskbell.states() == ["held"]
        kickserv.tasks[str(visit["id"])] = hidden
        taskbell.clock.advance(timedelta(seconds=30))
        await taskbell.deliver()
        assert taskbell.told == ["details"]
        assert "deleted by fetch" not in await taskbell.events()


async def test_a_person_who_asks_again_is_asked_to_look(taskbell: Corridor) -> None:
    """A message that somebody wants sent once more is checked as well, and says what is amiss."""
    number = await visit_soon(taskbell)
    finish(taskbell, number)
    await taskbell.deliver()
    [delivery] = await taskbell.deliveries("soon")
    await operator_actions.retry(taskbell.pool, taskbell.clock, delivery["id"], by=Actor("Ann"))
    await taskbell.deliver()
    [delivery] = await taskbell.deliveries("soon")
    assert (delivery["state"], taskbell.told) == ("cancelled", [])
    taskbell.sandbox.kickserv.reopen(number)
    await operator_actions.retry(taskbell.pool, taskbell.clock, delivery["id"], by=Actor("Ann"))
    await taskbell.deliver()
    assert taskbell.told == ["on_the_way"]


async def test_a_process_that_dies_over_the_question_leaves_nothing_unknown(
    taskbell: Corridor,
) -> None:
    """Nothing had been sent: another process asks again, and sends."""
    await visit_soon(taskbell)
    rules, zones = taskbell.config.rules, taskbell.config.zones
    [claimed] = await claiming.claim(
        taskbell.pool, "account:field", taskbell.clock, 1, rules, zones
    )
    await taskbell.lose_workers(minutes=1)
    assert await taskbell.states("soon") == ["planned"]
    async with taskbell.pool.acquire() as connection:
        assert not await attempts.begin(connection, claimed)
    await taskbell.deliver()
    assert taskbell.told == ["on_the_way"]


async def test_what_holds_a_message_back_since_the_question_holds_it(taskbell: Corridor) -> None:
    """While the system is being asked, somebody sets up a silence."""
    await visit_soon(taskbell)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.SLOW, method="GET", seconds=0.5))
    under_way = asyncio.create_task(taskbell.deliver("account:field"))
    await eventually(lambda: _is_sending(taskbell))
    now = taskbell.clock.now()
    silence = Silence(0, now, now + timedelta(hours=1), "a wedding", rule="soon")
    await silences.add(taskbell.pool, silence, by=Actor("Ann"))
    await under_way
    [delivery] = await taskbell.deliveries("soon")
    assert (delivery["state"], taskbell.told) == ("skipped", [])
    assert delivery["reason"].endswith("(silence 1): a wedding")


async def _is_sending(taskbell: Corridor) -> bool:
    return await taskbell.states("soon") == ["sending"]


async def test_mail_to_the_customer_is_checked_as_well(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Whatever goes to the customer's own address rests on the same; the office's mail does not."""
    rules = """
- { id: them, when: task.created, then: [{ wait: 10m }, { notify: "accounting:ida@c.test" }] }
- { id: us, when: task.created, then: [{ wait: 10m }, { notify: "accounting:us@field.test" }] }
"""
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        ida = {"id": 7, "name": "Ida", "email": "Ida@c.test"}
        visits = [taskbell.visit(customer=ida) for _ in range(2)]
        for visit in visits:
            await taskbell.webhook(visit)
        await taskbell.tick(minutes=11)
        taskbell.sandbox.kickserv.finish(str(visits[0]["id"]))
        await accounts.pause(pool, "field")
        await taskbell.deliver()
        assert await taskbell.states("us") == ["sent"] * 2
        assert await taskbell.states("them") == ["held"] * 2
        await accounts.resume(pool, "field", clock.now())
        await taskbell.tick(minutes=1)
        await taskbell.poll("field")
        await taskbell.tick(minutes=3)
        await taskbell.deliver()
        assert await taskbell.states("them") == ["cancelled", "sent"]


IN_THE_OFFICE = """
- { id: new, when: task.created, accounts: [field], hours: office,
    then: [{ notify: customer:details }] }
"""


async def test_what_cannot_be_read_as_the_office_closes(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Ten minutes before the weekend; it is still wanted when the office opens on Monday."""
    async with corridor(folder, pool, clock, IN_THE_OFFICE) as taskbell:
        await taskbell.begin()
        clock.advance(timedelta(hours=9, minutes=48))
        taskbell.visit(scheduled_at=clock.now() + timedelta(days=5))
        await taskbell.poll()
        taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
        await taskbell.deliver()
        assert await taskbell.states("new") == ["held"]
        taskbell.sandbox.kickserv.faults.clear()
        for hours in (1, 61, 0.7):
            await taskbell.tick(hours=hours)
            await taskbell.deliver()
        await calm(taskbell)
        assert await taskbell.states("new") == ["sent"]
        assert taskbell.told == ["details"]
