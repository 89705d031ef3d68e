"""Who asks for patience is waited for: that is no failed attempt, and holds up nobody else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from tests.harness.corridor import Corridor, begun
from tests.harness.receivers import Answer, Request
from workers.retry import PATIENCE

RULES = """
- id: office
  when: task.created
  accounts: [field]
  if: task.title != "Urgent"
  then: [{ notify: "slack:#office", text: "{{ task.title }}" }]
- id: dispatch
  when: task.created
  accounts: [field]
  if: task.title == "Urgent"
  then: [{ notify: "slack:#dispatch", text: "{{ task.title }}" }]
- { id: book, when: task.created, accounts: [london], then: [{ notify: accounting }] }
- { id: later, when: task.created, accounts: [london],
    then: [{ wait: 2 days }, { notify: "slack:#dispatch", text: Later }] }
- { id: tell, when: task.completed, accounts: [field], then: [{ notify: customer:details }] }
- id: person
  when: task.created
  accounts: [sales]
  then:
    - notify: "slack:@alice@firm.test"
      text: "{{ task.title }}"
      on_fail: [{ notify: accounting }]
"""
TAKEN = Answer(body={"ok": True, "channel": "C0", "ts": "1.1"})
BUSY = Answer(429, headers={"Retry-After": "1"})


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


class OneASecond:
    """A channel of Slack that takes one message a second, by the test's clock."""

    def __init__(self, taskbell: Corridor) -> None:
        self._taskbell = taskbell
        self._otherwise = taskbell.slack.answer
        self._free_at: datetime | None = None
        self.taken: list[str] = []
        taskbell.slack.answer = self.answer  # type: ignore[method-assign]

    def answer(self, request: Request) -> Answer:
        now = self._taskbell.clock.now()
        if request.path != "/api/chat.postMessage" or request.json["channel"] != "#office":
            return self._otherwise(request)
        if self._free_at is not None and now < self._free_at:
            return BUSY
        self._free_at = now + timedelta(seconds=1)
        self.taken.append(request.json["text"])
        return TAKEN


async def test_sixty_messages_take_a_minute_where_one_a_second_is_taken(
    taskbell: Corridor,
) -> None:
    """In their order, and with hardly a call in vain; another channel does not wait for them."""
    office = OneASecond(taskbell)
    for number in range(60):
        taskbell.visit(name=f"Visit {number}")
    taskbell.visit(name="Urgent")
    await taskbell.poll()
    await taskbell.deliver("slack")
    assert "Urgent" in taskbell.posts
    for _ in range(60):
        await taskbell.tick(seconds=1)
        await taskbell.deliver("slack")
    assert sorted(office.taken) == sorted(f"Visit {number}" for number in range(60))
    planned = [row["text"] for row in await taskbell.deliveries("office")]
    assert office.taken == planned
    assert len(taskbell.slack.requests) < 66
    assert {row["attempts"] for row in await taskbell.deliveries("office")} == {1}


@pytest.mark.timeout(900)
async def test_two_workers_send_to_a_channel_no_faster_than_one(
    taskbell: Corridor, *, soaking: bool
) -> None:
    """They take turns: in order, one message a second, and with hardly a refusal."""
    count, many = 500 if soaking else 40, "UTC\nstorm: { per_target: 1000, per_rule: 1000 }"
    office = OneASecond(taskbell)
    first = (await taskbell.restart(RULES, zone=many)).worker.lanes["slack"]
    second = (await taskbell.restart(RULES)).worker.lanes["slack"]
    for number in range(count):
        taskbell.visit(name=f"Visit {number}")
    await taskbell.poll()
    for _ in range(count + 2):
        for _ in range(6):
            await asyncio.gather(first.batch(), second.batch())
            await asyncio.gather(first.rest(), second.rest())
        await taskbell.tick(seconds=1)
    assert office.taken == [row["text"] for row in await taskbell.deliveries("office")]
    assert len(taskbell.slack.requests) < count + 6


async def test_a_message_is_not_overtaken_by_another_workers(taskbell: Corridor) -> None:
    """While one is on its way, nothing else is sent to its channel; it may have to be repeated."""
    first = taskbell.worker.lanes["slack"]
    second = (await taskbell.restart(RULES)).worker.lanes["slack"]
    taskbell.slack.reply(replace(TAKEN, after=(answered := asyncio.Event())))
    for name in ("First", "Second"):
        taskbell.visit(name=name)
    await taskbell.poll()
    await first.batch()
    assert not await second.batch()
    answered.set()
    await first.rest()
    assert await second.batch()
    await second.rest()
    assert await taskbell.states("office") == ["sent", "sent"]


async def test_a_few_messages_to_one_channel_go_at_once(taskbell: Corridor) -> None:
    """A pace is for many; what comes later goes as its turn comes."""
    for number in range(7):
        taskbell.visit(name=f"Visit {number}")
    await taskbell.poll()
    await taskbell.deliver("slack")
    assert len(taskbell.posts) == 5
    await taskbell.tick(seconds=1)
    await taskbell.deliver("slack")
    assert len(taskbell.posts) == 6


async def test_a_rate_of_its_own(taskbell: Corridor) -> None:
    """A webhook may have one, too: two at once, then one every two seconds, in order."""
    taskbell.head["accounting_options"] = "rate: 30/m, burst: 2"
    await taskbell.restart(RULES)
    for _ in range(4):
        await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    told = []
    for _ in range(5):
        await taskbell.deliver("accounting")
        told.append(len(taskbell.accounting.requests))
        await taskbell.tick(seconds=1)
    assert told == [2, 2, 3, 3, 4]


async def test_what_asks_for_patience_is_left_alone_by_all(taskbell: Corridor) -> None:
    """The whole destination rests until then: no other message is tried, by no worker."""
    taskbell.head["accounting_options"] = "timeout: 1m"
    first = (await taskbell.restart(RULES)).worker.lanes["accounting"]
    second = (await taskbell.restart(RULES)).worker.lanes["accounting"]
    taskbell.accounting.reply(Answer(429, headers={"Retry-After": "30"}))
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    await first.batch()
    await first.rest()
    for _ in range(3):
        await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    await taskbell.tick(seconds=29)
    assert not await first.batch()
    assert not await second.batch()
    await taskbell.tick(seconds=1)
    await taskbell.deliver("accounting")
    assert await taskbell.states("book") == ["sent"] * 4


async def test_an_outage_that_names_its_end_uses_up_no_attempt(taskbell: Corridor) -> None:
    """503 with a Retry-After, again and again: it is waited for as long as is asked, no longer."""
    away = Answer(503, headers={"Retry-After": "90"})
    taskbell.accounting.reply(*[away] * 20)
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    for tried in range(1, 22):
        await taskbell.deliver("accounting")
        assert len(taskbell.accounting.requests) == tried
        taskbell.clock.advance(timedelta(seconds=90))
    [delivery] = await taskbell.deliveries("book")
    assert (delivery["state"], delivery["attempts"]) == ("sent", 1)


async def test_a_receiver_that_asks_for_patience_uses_up_no_attempt(taskbell: Corridor) -> None:
    """However often: after a day of it, that counts as failing."""
    taskbell.accounting.reply(*[BUSY] * 20)
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    for _ in range(20):
        await taskbell.deliver("accounting")
        [delivery] = await taskbell.deliveries("book")
        assert (delivery["state"], delivery["attempts"]) == ("planned", 0)
        assert delivery["next_attempt_at"] == taskbell.clock.now() + timedelta(seconds=1)
        await taskbell.tick(seconds=1)
    await taskbell.deliver("accounting")
    assert await taskbell.states("book") == ["sent"]


async def test_patience_has_an_end(taskbell: Corridor) -> None:
    """What has been waiting for a day is tried again as after a failure."""
    taskbell.accounting.reply(BUSY, BUSY)
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    await taskbell.deliver("accounting")
    await taskbell.tick(seconds=PATIENCE.total_seconds() + 1)
    await taskbell.deliver("accounting")
    [delivery] = await taskbell.deliveries("book")
    assert (delivery["state"], delivery["attempts"]) == ("planned", 1)


async def test_what_was_planned_long_ago_is_waited_for_as_well(taskbell: Corridor) -> None:
    """Patience begins when a message is first refused, not when it was planned."""
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    await taskbell.tick(days=2, minutes=1)
    taskbell.slack.reply(*[BUSY] * 12)
    for _ in range(12):
        await taskbell.deliver("slack")
        [delivery] = await taskbell.deliveries("later")
        assert (delivery["state"], delivery["attempts"]) == ("planned", 0)
        await taskbell.tick(seconds=1)
    await taskbell.deliver("slack")
    assert await taskbell.states("later") == ["sent"]


async def test_a_system_that_asks_for_patience_keeps_no_customer_in_doubt(
    taskbell: Corridor,
) -> None:
    """Nothing was sent: the message goes out once it may, and counts one attempt."""
    visit = taskbell.visit()
    await taskbell.poll()
    taskbell.sandbox.kickserv.finish(str(visit["id"]))
    await taskbell.poll()
    throttled = Fault(FaultKind.THROTTLED, times=1, method="POST")
    taskbell.sandbox.kickserv.faults.set(throttled)
    for _ in range(10):
        await taskbell.deliver("account:field")
        [delivery] = await taskbell.deliveries("tell")
        if delivery["state"] == "sent":
            break
        assert (delivery["state"], delivery["attempts"]) == ("planned", 0)
        await taskbell.tick(minutes=1)
    assert (delivery["state"], delivery["attempts"]) == ("sent", 1)
    assert taskbell.told == ["details"]


async def test_a_person_who_left_slack_is_told_nothing_more(taskbell: Corridor) -> None:
    """Who they are is asked each time; whoever is not there any more fails it, in words."""
    rolodex = taskbell.sandbox.rolodex
    rolodex.make(body="First")
    await taskbell.poll("sales")
    await taskbell.deliver("slack")
    taskbell.slack.strangers.add("alice@firm.test")
    rolodex.make(body="Second")
    await taskbell.poll("sales")
    await taskbell.deliver("slack")
    await taskbell.deliver("accounting")
    assert taskbell.posts == ["First"]
    rows = await taskbell.deliveries("person")
    assert [row["state"] for row in rows] == ["sent", "failed", "sent"]
    assert "there is no such channel" in rows[1]["reason"]
