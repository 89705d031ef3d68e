"""Law 8: who wants no messages by the time that one goes out gets none, wherever it waited."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.contacts import ContactKey, KeyKind, keys_in
from service.outbox import approvals
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from tests.harness.corridor import Corridor, begun
from tests.harness.waiting import eventually

ANN = Actor("Ann")
IDA = {"id": 7, "name": "Ida", "email": "ida@c.test", "phone": "+1 415 555 0100"}
BO = {"id": 8, "name": "Bo", "email": "bo@c.test", "phone": "+1 415 555 0199"}
OUT = ("skipped", "the customer has opted out of messages")
RULES = """
- id: digest
  when: task.created
  if: task.title.startsWith("digest")
  group: { by: task.customer.email, wait: 5m }
  then: [{ notify: "accounting:{{ group.key }}", text: "{{ group.size }} visits" }]
- id: held
  when: task.created
  if: task.title.startsWith("held")
  hours: office
  then: [{ notify: "accounting:{{ task.customer.email }}", text: Hello }]
- id: asked
  when: task.created
  if: task.title.startsWith("asked")
  then:
    - { notify: "accounting:{{ task.customer.email }}", text: Hello, approve: "slack:#office" }
- id: now
  when: task.created
  if: task.title.startsWith("now")
  then: [{ notify: "accounting:{{ task.customer.email }}", text: Hello }]
"""
KEYS = [
    ContactKey(KeyKind.CUSTOMER, "7", "field"),
    *keys_in("IDA@c.test"),
    *keys_in("(415) 555-0100"),
]


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def opt_out(taskbell: Corridor, *keys: ContactKey) -> None:
    now = taskbell.clock.now()
    await contact_choices.choose(
        taskbell.pool, keys, wants=False, by=ANN, through=Through.CLI, now=now
    )


async def booked(taskbell: Corridor, name: str, customer: dict[str, Any] = IDA) -> str:
    visit = taskbell.visit(name=name, customer=customer)
    await taskbell.webhook(visit)
    return str(visit["id"])


async def ends(taskbell: Corridor) -> list[tuple[str, str | None]]:
    """Send everything that is due, now and later; how what was for customers ended."""
    for _ in range(4):
        await taskbell.deliver()
        await taskbell.tick(minutes=3)
    rows = [one for one in await taskbell.deliveries() if one["channel"] == "accounting"]
    assert taskbell.accounting.requests == []
    return [(one["state"], one["reason"]) for one in rows]


@pytest.mark.parametrize("key", KEYS, ids=str)
async def test_a_digest_that_was_collected_before(taskbell: Corridor, key: ContactKey) -> None:
    """It is due, and no worker has taken it yet."""
    await booked(taskbell, "digest 1")
    await booked(taskbell, "digest 2")
    await taskbell.tick(minutes=6)
    await opt_out(taskbell, key)
    assert await ends(taskbell) == [OUT]


@pytest.mark.parametrize("name", ["digest", "now"])
async def test_a_message_that_a_worker_has_taken(taskbell: Corridor, name: str) -> None:
    """It asks the system about the task, and looks once more before it sends."""
    await booked(taskbell, name)
    await taskbell.tick(minutes=6)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.SLOW, method="GET", seconds=0.5))
    under_way = asyncio.create_task(taskbell.deliver())
    await eventually(lambda: _is_sending(taskbell))
    await opt_out(taskbell, *keys_in("ida@c.test"))
    await under_way
    assert await ends(taskbell) == [OUT]


async def _is_sending(taskbell: Corridor) -> bool:
    return "sending" in await taskbell.states()


@pytest.mark.parametrize("name", ["digest", "now", "held"])
async def test_a_customer_with_a_further_address(taskbell: Corridor, name: str) -> None:
    """That one has opted out; the message goes to another address, and is theirs as well."""
    number = await booked(taskbell, name, {**IDA, "phone": None})
    await taskbell.tick(minutes=6)
    await opt_out(taskbell, *keys_in("+1 415 555 0100"))
    taskbell.sandbox.kickserv.change(number, customer=IDA)
    taskbell.clock.advance(timedelta(hours=9))
    assert (await ends(taskbell))[-1] == OUT


@pytest.mark.parametrize("name", ["digest", "now", "held"])
async def test_a_customer_who_is_given_the_address_of_another(
    taskbell: Corridor, name: str
) -> None:
    """Whoever reads mails there has opted out; nothing goes to the old address either."""
    number = await booked(taskbell, name, BO)
    await taskbell.tick(minutes=6)
    await opt_out(taskbell, *keys_in("ida@c.test"))
    taskbell.sandbox.kickserv.change(number, customer={**BO, "email": "ida@c.test"})
    taskbell.clock.advance(timedelta(hours=9))
    assert {state for state, _ in await ends(taskbell)} <= {"skipped", "cancelled"}


@pytest.mark.parametrize("name", ["digest", "now", "held"])
async def test_a_task_that_is_another_customers_now(taskbell: Corridor, name: str) -> None:
    """Neither the first one is told, whose task it is not, nor the second, who wants nothing."""
    number = await booked(taskbell, name)
    await taskbell.tick(minutes=6)
    await opt_out(taskbell, ContactKey(KeyKind.CUSTOMER, "8", "field"))
    taskbell.sandbox.kickserv.change(number, customer=BO)
    taskbell.clock.advance(timedelta(hours=9))
    assert {state for state, _ in await ends(taskbell)} <= {"skipped", "cancelled"}


async def test_a_message_that_waits_for_approval(taskbell: Corridor) -> None:
    """Whoever approves it does not know that the customer wants nothing any more."""
    await booked(taskbell, "asked")
    [waiting, *_] = await taskbell.deliveries("asked")
    await opt_out(taskbell, *keys_in("ida@c.test"))
    await approvals.approve(
        taskbell.pool, taskbell.clock, waiting["id"], by=ANN, rewritable=frozenset()
    )
    assert await ends(taskbell) == [OUT]
