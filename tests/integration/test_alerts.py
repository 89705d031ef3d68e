"""The operator is told that an account fails, and that it works again: each once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.config.operator import Operator
from service.domain.actors import Actor
from service.outbox import destinations, operator_actions
from service.outbox.alerts import HICCUP
from service.outbox.destinations import LaneOutage
from service.sandbox.faults import Fault, FaultKind
from service.settings import read_settings
from service.store import Pool, accounts
from tests.harness.corridor import Corridor, corridor, firm
from tests.harness.receivers import Answer
from workers import wiring
from workers.alerts import Alerts

RULES = "- { id: tell, when: task.created, then: [{ notify: accounting }] }"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


def worker(taskbell: Corridor, channel: str = "slack", target: str = "#office") -> Alerts:
    """The part of a worker that tells the operator."""
    config = replace(taskbell.config, operator=Operator(channel, target))
    names, address = config.accounts, wiring.operator_address(config, "https://tasks.test/")
    return Alerts(taskbell.pool, taskbell.clock, names, address)


async def fail(taskbell: Corridor, account: str = "field") -> None:
    """A poll that is refused."""
    sandbox = taskbell.sandbox
    systems = {"field": sandbox.kickserv, "london": sandbox.plannr, "sales": sandbox.rolodex}
    system = systems[account]
    system.faults.set(Fault(FaultKind.UNAUTHORIZED))
    await taskbell.poll(account)
    system.faults.clear()


async def go_on_failing(taskbell: Corridor, minutes: int, *alerts: Alerts) -> None:
    """Each minute another poll fails, and every worker looks whether there is anything to tell."""
    for _ in range(minutes):
        taskbell.clock.advance(MINUTE)
        await fail(taskbell)
        for one in alerts:
            await one.batch()
    await taskbell.deliver()


async def test_a_failure_and_its_end_are_told_once(taskbell: Corridor) -> None:
    """By two workers, over restarts, however long it lasts: two messages in all."""
    alerts = [worker(taskbell), worker(taskbell)]
    await fail(taskbell)
    await go_on_failing(taskbell, 4, *alerts)
    assert taskbell.posts == []
    await go_on_failing(taskbell, 30, *alerts)
    await taskbell.restart(RULES)
    await go_on_failing(taskbell, 30, worker(taskbell))
    [bad] = taskbell.posts
    assert bad.startswith(
        "Taskbell has been unable to read field (Kickserv) since Fri 6 Mar, 07:01: GET "
    )
    assert "refused the account's credentials (401)" in bad
    await taskbell.poll()
    for one in alerts:
        await one.batch()
    await taskbell.deliver()
    [good] = taskbell.posts[1:]
    assert good == (
        "Taskbell can read field (Kickserv) again."
        " The interruption lasted from Fri 6 Mar, 07:01 to Fri 6 Mar, 08:05."
    )
    await fail(taskbell)
    await go_on_failing(taskbell, 6, *alerts)
    assert len(taskbell.posts) == 3


async def test_workers_that_look_at_once_tell_it_once(taskbell: Corridor) -> None:
    """Of two workers that look at the same moment only one plans the message."""
    for account in ("field", "london", "sales"):
        await fail(taskbell, account)
    taskbell.clock.advance(HICCUP)
    await asyncio.gather(*(worker(taskbell).batch() for _ in range(6)))
    await taskbell.deliver()
    names = [text.split(" read ")[1].split()[0] for text in taskbell.posts]
    assert sorted(names) == ["field", "london", "sales"]


async def test_a_hiccup_is_not_told(taskbell: Corridor) -> None:
    """What mends itself within minutes is nobody's business."""
    alerts = worker(taskbell)
    await fail(taskbell)
    await go_on_failing(taskbell, 4, alerts)
    await taskbell.poll()
    taskbell.clock.advance(HICCUP)
    assert await alerts.batch() == frozenset()
    assert await taskbell.deliveries() == []


async def test_it_is_told_although_the_next_try_is_hours_away(taskbell: Corridor) -> None:
    """A system that asks for a long pause fails all the while."""
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.THROTTLED, seconds=7200))
    await taskbell.poll()
    taskbell.clock.advance(HICCUP)
    assert await worker(taskbell).batch() == {"slack"}


async def test_bad_news_that_never_went_out_is_withdrawn(taskbell: Corridor) -> None:
    """Nobody hears that something works again of which nobody heard that it failed."""
    alerts = worker(taskbell)
    await fail(taskbell)
    taskbell.clock.advance(HICCUP)
    await alerts.batch()
    await taskbell.poll()
    await alerts.batch()
    await taskbell.deliver()
    assert taskbell.posts == []
    [planned] = await taskbell.deliveries()
    assert (planned["state"], planned["reason"]) == (
        "cancelled",
        "cancelled: the account works again",
    )


async def test_what_a_person_has_withdrawn_is_not_planned_again(taskbell: Corridor) -> None:
    """A message that a person has cancelled is not planned again for the same failure."""
    alerts = worker(taskbell)
    await fail(taskbell)
    taskbell.clock.advance(HICCUP)
    await alerts.batch()
    await taskbell.pool.execute("UPDATE deliveries SET state = 'cancelled'")
    assert await alerts.batch() == frozenset()
    assert await taskbell.states() == ["cancelled"]


async def test_bad_news_that_may_have_gone_out_is_answered(taskbell: Corridor) -> None:
    """The receiver's answer was lost, so that the good news is sent all the same."""
    alerts = worker(taskbell, "accounting", "")
    await fail(taskbell)
    taskbell.clock.advance(HICCUP)
    await alerts.batch()
    taskbell.accounting.reply(Answer(503))
    await taskbell.deliver()
    await taskbell.poll()
    await alerts.batch()
    await taskbell.deliver()
    assert await taskbell.states() == ["cancelled", "sent"]


async def test_it_goes_by_the_outbox_like_everything_else(taskbell: Corridor) -> None:
    """It is tried again with the same key, and a program can read what it is about."""
    alerts = worker(taskbell, "accounting", "")
    await fail(taskbell)
    taskbell.clock.advance(HICCUP)
    told_at = taskbell.clock.now()
    await alerts.batch()
    taskbell.accounting.reply(Answer(503), Answer(204))
    await taskbell.deliver()
    taskbell.clock.advance(MINUTE)
    await taskbell.deliver()
    first, second = taskbell.accounting.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    body = second.json
    assert (body["type"], body["data"]["rule"]) == ("account.failing", "account.failing")
    assert body["data"]["event"]["account"] == "field"
    assert body["timestamp"] == told_at.isoformat().replace("+00:00", "Z")
    assert body["data"]["task"] is None


async def test_the_others_go_on_meanwhile(taskbell: Corridor) -> None:
    """What happens in another account is told as ever."""
    await fail(taskbell)
    await go_on_failing(taskbell, 6, worker(taskbell))
    taskbell.sandbox.plannr.make()
    await taskbell.poll("london")
    await taskbell.deliver()
    assert len(taskbell.accounting.requests) == 1


async def test_an_account_that_is_paused_or_forgotten_is_not_told(taskbell: Corridor) -> None:
    """Whoever paused it knows, and what is out of the configuration fails nobody."""
    for account in ("field", "london"):
        await fail(taskbell, account)
    await accounts.pause(taskbell.pool, "field")
    taskbell.config = replace(
        taskbell.config,
        accounts={name: taskbell.config.accounts[name] for name in ("field", "sales")},
    )
    taskbell.clock.advance(HICCUP)
    assert await worker(taskbell).batch() == frozenset()


async def test_a_worker_tells_whom_the_configuration_names(
    taskbell: Corridor, database_url: str
) -> None:
    """Several times a minute, and nobody where nobody is named."""
    settings = read_settings({"DATABASE_URL": database_url})
    await fail(taskbell)
    taskbell.clock.advance(HICCUP)
    async with wiring.open_worker(settings, taskbell.config, taskbell.clock) as running:
        await running.send_alerts()
    assert await taskbell.deliveries() == []
    config = replace(taskbell.config, operator=Operator("slack", "#dispatch"))
    async with wiring.open_worker(settings, config, taskbell.clock) as running:
        await running.send_alerts()
    assert [one["target"] for one in await taskbell.deliveries()] == ["#dispatch"]


async def test_a_hiccup_of_a_system_that_is_seldom_read_is_not_told_either(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Read each ten minutes, it is asked again a minute after it failed, and works."""

    def seldom(url: str) -> str:
        return firm(url).replace("poll: 60s", "poll: 10m")

    async with corridor(folder, pool, clock, RULES, seldom) as taskbell:
        await taskbell.begin()
        alerts = worker(taskbell)
        await fail(taskbell)
        for _ in range(6):
            clock.advance(MINUTE)
            await taskbell.poll_what_is_due()
            assert await alerts.batch() == frozenset()
        assert await taskbell.deliveries() == []


async def break_off(taskbell: Corridor, count: int) -> None:
    """So many messages are refused by their receiver for good."""
    taskbell.accounting.reply(*[Answer(410)] * count)
    for _ in range(count):
        await taskbell.webhook(taskbell.visit())
    await taskbell.deliver("accounting")


async def test_messages_that_failed_are_told_together(taskbell: Corridor) -> None:
    """Five at once, with a few examples; a sixth within minutes waits for others."""
    alerts = [worker(taskbell), worker(taskbell)]
    await break_off(taskbell, 5)
    await asyncio.gather(*(one.batch() for one in alerts))
    await taskbell.deliver("slack")
    [told] = taskbell.posts
    lines = told.splitlines()
    assert lines[0] == "5 messages failed."
    assert lines[1].startswith('- message 1: rule "tell" to accounting (account field): ')
    assert lines[4:] == [
        "- and 2 more",
        (
            "To decide, open Today on the Taskbell page (<https://tasks.test/>)."
            " (Developers: `taskbell outbox list`)"
        ),
    ]
    taskbell.clock.advance(MINUTE)
    await break_off(taskbell, 1)
    await alerts[0].batch()
    await taskbell.deliver("slack")
    assert len(taskbell.posts) == 1
    taskbell.clock.advance(5 * MINUTE)
    for one in alerts:
        await one.batch()
    await taskbell.deliver("slack")
    [_, again] = taskbell.posts
    assert again.startswith("1 message failed.")


async def test_messages_of_which_nobody_knows_are_told(taskbell: Corridor) -> None:
    """Somebody has to look whether the customer has heard."""
    await taskbell.webhook(taskbell.visit())
    await taskbell.pool.execute("UPDATE deliveries SET state = 'unknown', reason = 'lost'")
    await worker(taskbell).batch()
    await taskbell.deliver("slack")
    [told] = taskbell.posts
    assert told.startswith("1 message may or may not have arrived.")
    assert "lost" in told


async def test_a_message_to_the_operator_that_fails_brings_no_other(taskbell: Corridor) -> None:
    """Their own channel is what fails: nothing is told of that, however often it is looked at."""
    alerts = worker(taskbell, "accounting", "")
    await break_off(taskbell, 1)
    taskbell.accounting.reply(Answer(410))
    for _ in range(3):
        await alerts.batch()
        await taskbell.deliver("accounting")
        taskbell.clock.advance(10 * MINUTE)
    assert await taskbell.states() == ["failed", "failed"]


async def test_an_alert_about_an_account_that_fails_brings_no_other(taskbell: Corridor) -> None:
    """It belongs to the account and to no task: no alert is about it."""
    alerts = worker(taskbell, "accounting", "")
    taskbell.accounting.reply(Answer(410))
    await go_on_failing(taskbell, 7, alerts)
    assert await taskbell.states() == ["failed"]
    taskbell.clock.advance(10 * MINUTE)
    await alerts.batch()
    assert await taskbell.states() == ["failed"]


async def test_a_failure_that_a_person_has_seen_is_not_told(taskbell: Corridor) -> None:
    """Left as it is, it asks nobody any more; tried again and failed again, it does."""
    await break_off(taskbell, 1)
    await operator_actions.cancel(taskbell.pool, taskbell.clock, 1, by=Actor("Ann"))
    assert await worker(taskbell).batch() == frozenset()
    await operator_actions.retry(taskbell.pool, taskbell.clock, 1, by=Actor("Ann"))
    taskbell.accounting.reply(Answer(410))
    await taskbell.deliver("accounting")
    assert await worker(taskbell).batch() == {"slack"}


async def test_a_channel_that_fails_as_a_whole_is_reported_once(taskbell: Corridor) -> None:
    """After some minutes, to the operator on another channel; of the operator's own nothing is."""
    alerts, own = worker(taskbell), worker(taskbell, "accounting", "")
    await taskbell.accounting.stop()
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver("accounting")
    await own.batch()
    await alerts.batch()
    assert await taskbell.states("channel.failing") == []
    for _ in range(2):
        await taskbell.tick(minutes=5)
        await own.batch()
        await alerts.batch()
    await taskbell.deliver("slack")
    [post] = taskbell.posts
    assert post.startswith("Taskbell has been unable to send through accounting since")
    assert "The messages wait, and are sent as soon as it works" in post


async def test_a_channel_that_works_again_is_reported_once(taskbell: Corridor) -> None:
    """Only if its failure was: a short one is no news, and neither is its end."""
    alerts = worker(taskbell)
    await taskbell.accounting.stop()
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver("accounting")
    await destinations.end_outage(taskbell.pool, "accounting", taskbell.clock.now())
    await alerts.batch()
    assert await taskbell.states("channel.working") == []
    begun = LaneOutage(taskbell.clock.now(), "it is away", taskbell.clock.now(), 0)
    await destinations.begin_outage(taskbell.pool, "accounting", begun)
    await taskbell.tick(minutes=6)
    await alerts.batch()
    await destinations.end_outage(taskbell.pool, "accounting", taskbell.clock.now())
    for _ in range(2):
        await alerts.batch()
    await taskbell.deliver("slack")
    assert await taskbell.states("channel.working") == ["sent"]
    assert taskbell.posts[-1].startswith("Taskbell can send through accounting again.")
