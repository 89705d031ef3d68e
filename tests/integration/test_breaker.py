"""A channel that fails as a whole is tried from time to time; nothing waits longer than it must."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, begun
from tests.harness.receivers import Answer

RULES = """
- { id: book, when: task.created, accounts: [london],
    then: [{ notify: accounting, on_fail: [{ notify: "slack:#office", text: "It failed" }] }] }
- { id: post, when: task.created, accounts: [field],
    then: [{ notify: "slack:#office", text: "{{ task.title }}" }] }
"""
BROKEN, TAKEN = Answer(500), Answer(204)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        running.head["accounting_options"] = "timeout: 30s"
        yield await running.restart(RULES)


async def plan(taskbell: Corridor, count: int) -> None:
    for _ in range(count):
        await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")


async def go_on(taskbell: Corridor, **time: float) -> None:
    await taskbell.tick(**time)
    await taskbell.deliver("accounting")


async def attempts(taskbell: Corridor) -> list[int]:
    return [row["attempts"] for row in await taskbell.deliveries("book")]


async def test_what_cannot_be_reached_is_not_tried_for_each_message(taskbell: Corridor) -> None:
    """One message tries the channel; the others wait, and are sent as soon as it answers."""
    await taskbell.accounting.stop()
    await plan(taskbell, 1)
    await taskbell.deliver("accounting")
    await plan(taskbell, 20)
    for _ in range(30):
        await go_on(taskbell, minutes=1)
    assert await attempts(taskbell) == [1] + [0] * 20
    await taskbell.accounting.start_again()
    await go_on(taskbell, minutes=1)
    await go_on(taskbell, seconds=1)
    assert await taskbell.states("book") == ["sent"] * 21
    assert len(taskbell.accounting.requests) == 21


async def test_a_single_message_does_not_wait_for_its_schedule(taskbell: Corridor) -> None:
    """Its receiver was away for three hours: it goes within a minute of its return."""
    await taskbell.accounting.stop()
    await plan(taskbell, 1)
    await taskbell.deliver("accounting")
    for _ in range(180):
        await go_on(taskbell, minutes=1)
    await taskbell.accounting.start_again()
    await go_on(taskbell, minutes=1)
    assert await taskbell.states("book") == ["sent"]


async def test_who_answers_with_errors_gets_one_message_at_a_time(taskbell: Corridor) -> None:
    """After five failures in a row; the first success lets all others go."""
    taskbell.accounting.reply(*[BROKEN] * 7)
    await plan(taskbell, 5)
    await taskbell.deliver("accounting")
    await plan(taskbell, 20)
    await taskbell.deliver("accounting")
    assert len(taskbell.accounting.requests) == 5
    for tried in (6, 7):
        await go_on(taskbell, minutes=1)
        assert len(taskbell.accounting.requests) == tried
    await go_on(taskbell, minutes=1)
    await go_on(taskbell, seconds=1)
    assert await taskbell.states("book") == ["sent"] * 25
    assert len(taskbell.accounting.requests) == 32


async def test_a_slow_answer_is_waited_for(taskbell: Corridor) -> None:
    """The message that tries it takes longer than the pause: no other follows before its result."""
    taskbell.accounting.reply(*[BROKEN] * 5)
    await plan(taskbell, 5)
    await taskbell.deliver("accounting")
    await taskbell.deliver("accounting")
    first, answered = taskbell.worker.lanes["accounting"], asyncio.Event()
    taskbell.accounting.reply(Answer(204, after=answered))
    await taskbell.tick(seconds=11)
    await first.batch()
    await taskbell.restart(RULES)
    for _ in range(3):
        await go_on(taskbell, seconds=11)
    assert sorted(await taskbell.states("book")) == ["planned"] * 4 + ["sending"]
    answered.set()
    await first.rest()
    await first.batch()
    await first.rest()
    assert await taskbell.states("book") == ["sent"] * 5


async def test_after_errors_nobody_waits_for_their_own_schedule(taskbell: Corridor) -> None:
    """Errors for 18 minutes: soon after everything is sent, not after half an hour."""
    taskbell.accounting.reply(*[BROKEN] * 1000)
    await plan(taskbell, 6)
    for _ in range(18):
        await go_on(taskbell, minutes=1)
    assert set(await taskbell.states("book")) == {"planned"}
    taskbell.accounting.forget_replies()
    for _ in range(3):
        await go_on(taskbell, minutes=1)
    assert await taskbell.states("book") == ["sent"] * 6


async def test_one_message_that_always_fails_stops_no_other(taskbell: Corridor) -> None:
    """Others arrive between its attempts: nothing is wrong with the channel."""
    for _ in range(6):
        taskbell.accounting.reply(BROKEN, TAKEN)
        await plan(taskbell, 1)
        await taskbell.deliver("accounting")
        await plan(taskbell, 1)
        await taskbell.deliver("accounting")
    assert (await taskbell.states("book")).count("sent") == 6
    assert await taskbell.pool.fetchval("SELECT count(*) FROM lane_outages") == 0


async def visits(taskbell: Corridor, *titles: str) -> None:
    for title in titles:
        await taskbell.webhook(taskbell.visit(name=title))


async def chat(taskbell: Corridor, **time: float) -> None:
    await taskbell.tick(**time)
    await taskbell.deliver("slack")


async def test_one_failure_does_not_change_the_order(taskbell: Corridor) -> None:
    """What comes after it in a chat waits for the first retry, some seconds later."""
    taskbell.slack.reply(BROKEN)
    await visits(taskbell, "First", "Second")
    await chat(taskbell)
    await chat(taskbell, seconds=2)
    assert taskbell.posts == []
    for _ in range(3):
        await chat(taskbell, seconds=6)
    assert taskbell.posts == ["First", "Second"]


async def test_what_fails_twice_keeps_nobody_waiting(taskbell: Corridor) -> None:
    """It may be the message: the others go on."""
    taskbell.slack.reply(BROKEN, BROKEN)
    await visits(taskbell, "First", "Second")
    for _ in range(3):
        await chat(taskbell, seconds=7)
    assert taskbell.posts == ["Second"]


async def test_what_failed_first_is_not_overtaken(taskbell: Corridor) -> None:
    """A chat is away for some seconds: what was said first still stands above the rest."""
    await taskbell.slack.stop()
    await visits(taskbell, "First")
    await chat(taskbell)
    await taskbell.tick(seconds=1)
    await visits(taskbell, "Second", "Third")
    await chat(taskbell, seconds=1)
    await taskbell.slack.start_again()
    for _ in range(5):
        await chat(taskbell, seconds=10)
    assert taskbell.posts == ["First", "Second", "Third"]


async def test_after_errors_a_chat_goes_on_in_order(taskbell: Corridor) -> None:
    """All but the message that found out: what failed does not come after what only waited."""
    taskbell.slack.reply(*[BROKEN] * 1000)
    await visits(taskbell, "First")
    for minutes in (0, 1, 6, 31):
        await chat(taskbell, minutes=minutes)
    await visits(taskbell, "Second", "Third", "Fourth")
    for _ in range(10):
        await chat(taskbell, seconds=2)
    assert await taskbell.pool.fetchval("SELECT count(*) FROM lane_outages") == 1
    taskbell.slack.forget_replies()
    for _ in range(20):
        await chat(taskbell, seconds=10)
    found_out, *others = taskbell.posts
    assert others == [one for one in ("First", "Second", "Third", "Fourth") if one != found_out]


async def test_an_outage_of_one_channel_is_none_of_another(taskbell: Corridor) -> None:
    """Slack gets its messages while accounting is away."""
    await taskbell.accounting.stop()
    await plan(taskbell, 2)
    await taskbell.deliver()
    taskbell.visit()
    await taskbell.poll()
    await taskbell.deliver()
    assert await taskbell.states("post") == ["sent"]


async def test_all_workers_know_of_an_outage(taskbell: Corridor) -> None:
    """Of two workers only one tries, and both go on when it is over."""
    first = taskbell.worker.lanes["accounting"]
    await taskbell.accounting.stop()
    await plan(taskbell, 1)
    await taskbell.deliver("accounting")
    await first.batch()
    await taskbell.restart(RULES)
    await plan(taskbell, 5)
    await taskbell.tick(seconds=1)
    await taskbell.deliver("accounting")
    assert await attempts(taskbell) == [1, 0, 0, 0, 0, 0]
    probes = await taskbell.pool.fetchval("SELECT probes FROM lane_outages")
    await go_on(taskbell, minutes=1)
    await first.batch()
    assert await taskbell.pool.fetchval("SELECT probes FROM lane_outages") == probes + 1


async def test_what_waited_for_days_is_given_up_in_words(taskbell: Corridor) -> None:
    """As long as any message is tried; then its on_fail is sent, and a younger one still waits."""
    await taskbell.accounting.stop()
    await plan(taskbell, 2)
    await taskbell.deliver("accounting")
    await taskbell.tick(days=2)
    await plan(taskbell, 1)
    for _ in range(4):
        await go_on(taskbell, hours=8)
    _, second, third = (await taskbell.deliveries("book"))[:3]
    assert second["state"] == "failed"
    assert (
        "given up after three days in which nothing could be sent to accounting"
        in (second["reason"])
    )
    assert third["state"] == "planned"
    await taskbell.deliver("slack")
    assert "It failed" in taskbell.posts


async def test_a_rejected_message_is_no_outage(taskbell: Corridor) -> None:
    """A server that answers 404 works, so each message keeps its own schedule."""
    taskbell.accounting.reply(*[Answer(404)] * 8)
    for _ in range(8):
        await plan(taskbell, 1)
        await taskbell.deliver("accounting")
    assert await attempts(taskbell) == [1] * 8


async def test_attempts_are_not_used_up_by_trying(taskbell: Corridor) -> None:
    """Errors for a day use up as many as the schedule of a message has in a day, of its ten."""
    taskbell.accounting.reply(*[BROKEN] * 1000)
    await plan(taskbell, 6)
    for _ in range(24 * 12):
        await go_on(taskbell, minutes=5)
    assert max(await attempts(taskbell)) <= 7
    assert set(await taskbell.states("book")) == {"planned"}
    assert (
        timedelta(days=1) <= taskbell.clock.now() - (await taskbell.deliveries())[0]["created_at"]
    )


async def test_of_a_channel_that_is_gone_nothing_is_known(taskbell: Corridor) -> None:
    """It is taken out of the configuration while it fails: nobody is told of it any more."""
    await taskbell.accounting.stop()
    await plan(taskbell, 1)
    await taskbell.deliver("accounting")
    await taskbell.deliver("accounting")
    assert await taskbell.pool.fetchval("SELECT count(*) FROM lane_outages") == 1
    await taskbell.tick(minutes=2)
    await taskbell.take_out("accounting")
    assert await taskbell.pool.fetchval("SELECT count(*) FROM lane_outages") == 0
