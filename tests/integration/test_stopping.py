"""Who answers STOP to a text message: that is their choice, until they or the office say other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.contacts import keys_in
from service.outbox import operator_actions
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from tests.harness.corridor import Corridor, begun
from tests.harness.receivers import Answer
from tests.harness.site import serving

RULES = """
- id: text
  when: task.created
  if: has(task.customer.phone)
  then:
    - notify: "sms:{{ task.customer.phone }}"
      text: "We come: {{ task.title }}"
      on_fail: [{ notify: slack:#office, text: "Not told: {{ task.customer.name }}" }]
- id: chat
  when: task.completed
  then: [{ notify: "sms:whatsapp:{{ task.customer.phone }}", text: Done }]
- id: colleague
  when: task.changed
  then: [{ notify: "sms:{{ task.assignee.phone }}", text: Changed }]
people: { Bo: { phone: "415 555 0177" } }
"""
TOKEN = "a-token-of-sixteen"
HTML = {"accept": "text/html"}
IDA = {"id": 7, "name": "Ida", "phone": "(415) 555-0123"}
STOPPED = Answer(400, {"code": 21610, "message": "hidden", "status": 400})
OUT = ("skipped", "the customer has opted out of messages")
TAKEN = Answer(201, {"sid": "SM1", "status": "queued"})
WHY = "this person has answered STOP, and gets nothing until they text START (21610)"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def refused(taskbell: Corridor) -> None:
    """Ida is texted about a new visit; she has answered STOP to an earlier text."""
    taskbell.accounting.reply(STOPPED)
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.deliver("sms")


async def choices(taskbell: Corridor, *, wants: bool = False) -> list[tuple[str, str, str]]:
    rows = await contact_choices.listed(taskbell.pool, wants=wants)
    return [(row["value"], row["made_by"], row["made_through"]) for row in rows]


async def test_whoever_answers_stop_is_not_texted_again(taskbell: Corridor) -> None:
    """The message has failed, which the office may want to know; the next one is not tried.

    Nor is one by WhatsApp to the same number.
    """
    await refused(taskbell)
    [text, instead] = await taskbell.deliveries("text")
    assert (text["state"], text["reason"]) == ("failed", f"Twilio refused: {WHY}")
    assert (instead["channel"], instead["state"]) == ("slack", "planned")
    assert await choices(taskbell) == [
        ("14155550123", "the customer, by answering STOP", "reply"),
    ]
    visit = taskbell.visit(customer=IDA)
    await taskbell.webhook(visit)
    await taskbell.deliver()
    await taskbell.tick(minutes=1)
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
    await taskbell.deliver()
    [*_, text] = await taskbell.deliveries("text")
    [chat] = await taskbell.deliveries("chat")
    assert [(one["state"], one["reason"]) for one in (text, chat)] == [OUT, OUT]
    assert len(taskbell.accounting.requests) == 1


async def test_a_person_cannot_text_them_either_until_it_is_lifted(taskbell: Corridor) -> None:
    """They text START and say so: the office lifts it, and the message goes out."""
    await refused(taskbell)
    [text, _] = await taskbell.deliveries("text")
    ann = Actor("Ann")
    await operator_actions.retry(taskbell.pool, taskbell.clock, text["id"], by=ann)
    await taskbell.deliver("sms")
    assert (await taskbell.states("text"))[0] == "skipped"
    await contact_choices.choose(
        taskbell.pool,
        keys_in("+1 415 555 0123"),
        wants=True,
        by=ann,
        through=Through.CLI,
        now=taskbell.clock.now(),
    )
    assert await choices(taskbell) == []
    taskbell.accounting.reply(TAKEN)
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.deliver("sms")
    assert (await taskbell.states("text"))[-1] == "sent"


async def test_lifted_too_early_it_comes_back(taskbell: Corridor) -> None:
    """Who has not texted START is refused again, which is stored again."""
    await refused(taskbell)
    await contact_choices.choose(
        taskbell.pool,
        keys_in("+1 415 555 0123"),
        wants=True,
        by=Actor("Ann"),
        through=Through.CLI,
        now=taskbell.clock.now(),
    )
    await refused(taskbell)
    assert len(await choices(taskbell)) == 1
    rows = await taskbell.pool.fetch("SELECT by, action, detail FROM changes ORDER BY id")
    assert [row["action"] for row in rows] == [
        "contact.refused",
        "contact.admitted",
        "contact.refused",
    ]
    assert rows[0]["detail"] == f"by reply; Twilio refused: {WHY}"


async def test_a_colleague_who_answers_stop_is_no_customer(taskbell: Corridor) -> None:
    """Nothing is entered among the customers; the message says why it did not reach them."""
    bo = {"id": 5, "name": "Bo"}
    visit = taskbell.visit(employees=[bo], customer={"id": 8, "name": "Al"})
    await taskbell.webhook(visit)
    await taskbell.tick(minutes=1)
    taskbell.accounting.reply(STOPPED)
    changed = taskbell.sandbox.kickserv.change(str(visit["id"]), name="Another")
    await taskbell.webhook(changed)
    await taskbell.deliver("sms")
    [text] = await taskbell.deliveries("colleague")
    assert (text["state"], text["reason"]) == ("failed", f"Twilio refused: {WHY}")
    assert await choices(taskbell) == []


async def test_the_office_sees_who_and_why(taskbell: Corridor, valkey: EmbeddedValkey) -> None:
    """In the list of customers who want no messages, in plain words."""
    await refused(taskbell)
    parts = (taskbell.config, taskbell.pool, taskbell.clock, valkey.url, TOKEN)
    async with serving(*parts) as web:
        login = {"authorization": f"Bearer {TOKEN}"}
        page = (await web.client.get("/contacts", headers={**HTML, **login})).text
        entry = (await web.client.get("/api/v1/contacts", headers=login)).json()["data"][0]
    assert "(by a reply to a text message)" in page
    assert WHY in page
    assert (entry["value"], entry["made_through"]) == ("14155550123", "reply")
