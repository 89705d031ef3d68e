"""Signals: "I am leaving now", pushed by a phone's app, is what a customer hears of."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from standardwebhooks import Webhook

from service.clock import VirtualClock
from service.config import Config
from service.processes.embedded import EmbeddedValkey
from service.sources.account import HookOptions
from service.store import Pool
from service.store.views import api_lists, listing
from tests.harness.corridor import Corridor, corridor
from tests.harness.site import STANDARD_SECRET, serving

LEAVING = """
- id: on-the-way
  when: { signal: leaving }
  if: has(task.customer) && !task.customer.opted_out
  expires: 20m
  then: [{ notify: customer:on_the_way }]
- { id: home, when: { signal: at home }, then: [{ notify: accounting }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, LEAVING) as running:
        await running.begin()
        yield running


def with_proof(config: Config) -> Config:
    """The same, whose field account wants webhooks to be signed and named by their sender."""
    webhook = HookOptions.model_validate({"verify": "standard", "secret": STANDARD_SECRET})
    field = config.accounts["field"].model_copy(update={"webhook": webhook})
    return replace(config, accounts={**config.accounts, "field": field})


def leaving(task_id: str, delivery: str, clock: VirtualClock) -> tuple[bytes, dict[str, str]]:
    """What the app posts, and the headers by which it proves and names it."""
    body = orjson.dumps({"signal": "leaving", "task": task_id})
    return body, {
        "webhook-id": delivery,
        "webhook-timestamp": str(int(clock.now().timestamp())),
        "webhook-signature": Webhook(STANDARD_SECRET).sign(delivery, clock.now(), body.decode()),
    }


async def visit(taskbell: Corridor) -> str:
    """A visit that Taskbell knows of; its id."""
    made = taskbell.visit()
    await taskbell.webhook(made)
    return str(made["id"])


async def test_a_signal_that_is_delivered_twice_is_one_message(
    taskbell: Corridor, valkey: EmbeddedValkey
) -> None:
    """By the real door: the sender repeats its delivery, and the customer hears of it once."""
    task_id, clock = await visit(taskbell), taskbell.clock
    config = with_proof(taskbell.config)
    async with serving(config, taskbell.pool, clock, valkey.url) as web:
        body, headers = leaving(task_id, "msg_1", clock)
        first = await web.post("field", body, headers)
        await taskbell.ingest()
        await taskbell.deliver()
        again = await web.post("field", body, headers)
    await taskbell.ingest()
    await taskbell.deliver()
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert taskbell.told == ["on_the_way"]
    assert await taskbell.states() == ["sent"]
    assert await taskbell.events(task_id) == ["created by webhook", "signal by signal"]
    assert await taskbell.reasons() == [
        "signal leaving, and has(task.customer) && !task.customer.opted_out"
    ]


async def test_only_rules_that_wait_for_its_name_hear_a_signal(taskbell: Corridor) -> None:
    """Another name is another signal, with another rule or none."""
    task_id = await visit(taskbell)
    await taskbell.webhook({"signal": "at home", "task": task_id})
    await taskbell.webhook({"signal": "Leaving", "task": task_id})
    await taskbell.deliver()
    assert [one["rule"] for one in await taskbell.deliveries()] == ["home"]
    assert taskbell.told == []


async def reason(taskbell: Corridor, receipt: int) -> str:
    """What became of a webhook, where the API shows it."""
    page = await listing.read_page(taskbell.pool, api_lists.RECEIPTS, {}, 10)
    [found] = [row["reason"] for row in page.rows if row["id"] == receipt]
    return str(found)


async def test_a_signal_about_an_unknown_task_tells_nobody(taskbell: Corridor) -> None:
    """A signal about a task that there is not makes no event and no message, and says so."""
    receipt = await taskbell.receive({"signal": "leaving", "task": "4712"})
    await taskbell.ingest()
    for seconds in (0, 2, 5, 15, 60, 180):
        taskbell.clock.advance(timedelta(seconds=seconds))
        await taskbell.look_up()
    await taskbell.deliver()
    assert await taskbell.events() == []
    assert taskbell.told == []
    assert "signal ignored: field was asked 6 times and has no task 4712" in await reason(
        taskbell, receipt
    )


async def test_a_signal_that_came_too_early_is_heard_as_soon_as_the_task_is_known(
    taskbell: Corridor,
) -> None:
    """The visit was made a moment ago and is on no poll yet: it is read, and then told."""
    number = str(taskbell.visit()["id"])
    receipt = await taskbell.receive({"signal": "leaving", "task": number})
    await taskbell.ingest()
    assert f"reading task {number}, which it does not know yet" in await reason(taskbell, receipt)
    await taskbell.look_up()
    await taskbell.deliver()
    assert taskbell.told == ["on_the_way"]


async def test_a_signal_that_was_worked_off_too_late_is_not_sent(taskbell: Corridor) -> None:
    """Half an hour after the event nobody is on the way any more."""
    task_id = await visit(taskbell)
    await taskbell.receive({"signal": "leaving", "task": task_id})
    await taskbell.tick(minutes=30)
    await taskbell.ingest()
    await taskbell.deliver()
    assert await taskbell.states() == ["skipped"]
    assert taskbell.told == []
