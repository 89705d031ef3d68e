"""Law 8 for text messages to customers: 0 or 1, never 2, and each 0 has its reason."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.receivers import Answer

RULES = """
- { id: tell, when: task.created, accounts: [field], if: has(task.customer.phone),
    then: [{ notify: "sms:{{ task.customer.phone }}", text: "We come: {{ task.title }}" }] }
"""
IDA = {"id": 7, "name": "Ida", "phone": "(415) 555-0123"}
TAKEN = Answer(201, {"sid": "SM1", "status": "queued"})


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that texts customers of Kickserv, by a Twilio that listens."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


def texted(taskbell: Corridor) -> list[str]:
    """The numbers that Twilio was asked to write to."""
    bodies = [parse_qs(one.body.decode()) for one in taskbell.accounting.requests]
    return [body["To"][0] for body in bodies]


async def test_law_8_a_text_message_is_sent_once(taskbell: Corridor) -> None:
    """To the number that the system has, completed by the country's code."""
    taskbell.accounting.reply(TAKEN)
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.deliver()
    assert await taskbell.states() == ["sent"]
    assert texted(taskbell) == ["+14155550123"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(503, headers={"retry-after": "9"}),
        Answer(200, b"<html>Welcome to the hotel</html>"),
    ],
    ids=["500", "503", "another page"],
)
async def test_law_8_an_unclear_answer_is_never_followed_by_a_second_text_message(
    answer: Answer, taskbell: Corridor
) -> None:
    """Twilio may have taken it: it is unknown for good, and a person is asked to look."""
    taskbell.accounting.reply(answer, *[TAKEN] * 5)
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.deliver()
    for _ in range(16):
        await taskbell.lose_workers(hours=6)
        await taskbell.tick()
        await taskbell.deliver()
    [delivery] = await taskbell.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("unknown", 1)
    assert "Check whether it arrived" in delivery["reason"]
    assert len(texted(taskbell)) == 1


async def test_law_8_a_worker_that_died_over_a_text_message_leaves_unknown(
    taskbell: Corridor,
) -> None:
    """It had begun, so nobody begins again."""
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.claim("sms")
    await taskbell.lose_workers(hours=6)
    await taskbell.deliver()
    assert await taskbell.states() == ["unknown"]
    assert texted(taskbell) == []


async def test_law_8_a_text_message_waits_for_a_pause(taskbell: Corridor) -> None:
    """Twilio said that it did nothing: the customer is told once the pause is over."""
    taskbell.accounting.reply(Answer(429, {"code": 20429}, {"retry-after": "60"}), TAKEN)
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.deliver()
    assert await taskbell.states() == ["planned"]
    taskbell.clock.advance(timedelta(minutes=2))
    await taskbell.deliver()
    assert await taskbell.states() == ["sent"]
    assert len(texted(taskbell)) == 2


async def test_law_8_a_text_message_rests_on_the_task(taskbell: Corridor) -> None:
    """The system is asked just before, as for any message to a customer."""
    visit = taskbell.visit(customer=IDA)
    await taskbell.webhook(visit)
    taskbell.sandbox.kickserv.delete(str(visit["id"]))
    await taskbell.tick(minutes=5)
    await taskbell.deliver()
    [delivery] = await taskbell.deliveries()
    assert (delivery["state"], delivery["reason"]) == (
        "cancelled",
        "cancelled: the task was deleted",
    )
    assert texted(taskbell) == []


async def test_a_number_that_is_none_is_said(taskbell: Corridor) -> None:
    """Nobody else gets the message, and the office reads what to correct."""
    await taskbell.webhook(taskbell.visit(customer={**IDA, "phone": "555-0123"}))
    await taskbell.deliver()
    [delivery] = await taskbell.deliveries()
    assert delivery["state"] == "failed"
    assert "not a phone number with its country code" in delivery["reason"]
    assert texted(taskbell) == []
