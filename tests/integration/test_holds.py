"""A hold of all customer messages: they wait, say why, and go out only if they are still true."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.operators.holds import Hold
from service.outbox import claiming, holds, operator_actions, storms
from service.outbox.holds import NoHold
from service.simulator import Simulator
from service.simulator.upcoming import upcoming
from service.store import Pool
from service.store.views import dashboard
from tests.harness.commands import taskbell as command
from tests.harness.corridor import Corridor, corridor

HOUR = timedelta(hours=1)
RULES = """
- id: new
  when: task.created
  then: [{ notify: "customer:details" }, { notify: "slack:#office", text: "{{ task.title }}" }]
- id: later
  when: task.created
  expires: 3h
  then: [{ wait: 30m }, { notify: customer:on_the_way }]
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def hold(taskbell: Corridor, hours: float, why: str = "a funeral") -> int:
    now = taskbell.clock.now()
    return await holds.begin(
        taskbell.pool, Hold(0, now, now + hours * HOUR, why, "Ann"), by=Actor("Ann")
    )


async def release(taskbell: Corridor, number: int) -> None:
    await holds.release(taskbell.pool, number, by=Actor("Bo"), now=taskbell.clock.now())


async def foretold(taskbell: Corridor) -> list[datetime | None]:
    """When messages are expected to go out in the next day."""
    now, config = taskbell.clock.now(), taskbell.config
    async with taskbell.pool.acquire() as connection, connection.transaction():
        trial = Simulator(config.rules, config.zones, ways(config.kinds), now)
        found = await upcoming(trial, connection, now + 24 * HOUR)
    return [one.settled_at for one in found]


async def test_customers_hear_nothing_until_it_is_released(taskbell: Corridor) -> None:
    """The office does; each message that waits says until when, by whom and why."""
    number = await hold(taskbell, 4)
    until = f"{taskbell.clock.now() + 4 * HOUR:%Y-%m-%d %H:%M} UTC"
    await taskbell.webhook(taskbell.visit(name="Roof"))
    await taskbell.deliver()
    assert (taskbell.told, taskbell.posts) == ([], ["Roof"])
    [held] = [one for one in await taskbell.deliveries("new") if one["channel"] == "customer"]
    said = f"customer messages are on hold until {until} (Ann): a funeral"
    assert (held["state"], held["hold"], held["attempts"]) == ("held", number, 0)
    assert held["reason"] == said
    [shown] = await holds.read(taskbell.pool, taskbell.clock.now())
    assert (shown["id"], shown["held"], shown["reason"]) == (number, 1, "a funeral")
    await taskbell.tick(minutes=10)
    await release(taskbell, number)
    await taskbell.deliver()
    assert taskbell.told == ["details"]
    assert await holds.read(taskbell.pool, taskbell.clock.now()) == []
    with pytest.raises(NoHold):
        await release(taskbell, number)


async def test_it_ends_by_itself(taskbell: Corridor) -> None:
    """At its end what waits goes out."""
    await hold(taskbell, 1)
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    await taskbell.tick(minutes=59)
    await taskbell.deliver()
    assert taskbell.told == []
    await taskbell.tick(minutes=1)
    await taskbell.deliver()
    assert sorted(taskbell.told) == ["details", "on_the_way"]


async def test_what_is_not_true_any_more_does_not_go_out(taskbell: Corridor) -> None:
    """A visit that is called off meanwhile, also if only its system knows yet."""
    number = await hold(taskbell, 1)
    known, unknown = taskbell.visit(), taskbell.visit()
    await taskbell.webhook([known, unknown])
    await taskbell.deliver()
    taskbell.sandbox.kickserv.finish(str(unknown["id"]))
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(known["id"])))
    await release(taskbell, number)
    await taskbell.deliver()
    assert taskbell.told == []


async def test_what_is_too_late_expires_in_a_hold(taskbell: Corridor) -> None:
    """Its time is not extended, and its reason still says what it waited for."""
    await hold(taskbell, 9)
    await taskbell.webhook(taskbell.visit())
    await taskbell.tick(minutes=31)
    await taskbell.deliver()
    await taskbell.tick(hours=3)
    await taskbell.deliver()
    [late] = await taskbell.deliveries("later")
    assert late["state"] == "expired"
    assert late["reason"].startswith("too late: it had to be sent by")
    assert "; customer messages are on hold until" in late["reason"]


async def test_the_details_of_a_visit_that_is_over_are_told_to_nobody(taskbell: Corridor) -> None:
    """The hold outlasts the visit; of one that is still going on the customer hears."""
    start = taskbell.clock.now() + HOUR
    over = taskbell.visit(scheduled_at=start, ends_at=start + HOUR)
    going_on = taskbell.visit(scheduled_at=start, ends_at=start + 4 * HOUR)
    number = await hold(taskbell, 9)
    await taskbell.webhook([over, going_on])
    await taskbell.deliver()
    await taskbell.tick(hours=3)
    await release(taskbell, number)
    await taskbell.deliver()
    ends = [
        (one["state"], one["reason"])
        for one in await taskbell.deliveries("new")
        if one["channel"] == "customer"
    ]
    assert ends == [("expired", "too late: the task's end has passed"), ("sent", None)]


async def test_a_hold_between_the_claim_and_the_sending_still_holds(taskbell: Corridor) -> None:
    """The gates are asked again after the system was: the attempt does not count."""
    await taskbell.webhook(taskbell.visit())
    lane, config = taskbell.worker.lanes["account:field"], taskbell.config
    [claim] = await claiming.claim(
        taskbell.pool, lane.name, taskbell.clock, 1, config.rules, config.zones
    )
    number = await hold(taskbell, 1)
    await lane._attempt(claim)
    assert taskbell.told == []
    [one] = [one for one in await taskbell.deliveries("new") if one["channel"] == "customer"]
    assert (one["state"], one["hold"], one["attempts"]) == ("held", number, 0)


async def test_what_a_person_sends_all_the_same_goes(taskbell: Corridor) -> None:
    """A person requested this message."""
    await taskbell.webhook(taskbell.visit())
    first, *_ = await taskbell.deliveries("new")
    await operator_actions.cancel(taskbell.pool, taskbell.clock, first["id"], by=Actor("Ann"))
    await hold(taskbell, 1)
    await operator_actions.retry(taskbell.pool, taskbell.clock, first["id"], by=Actor("Ann"))
    await taskbell.deliver()
    assert taskbell.told == ["details"]


async def test_another_hold_holds_what_one_releases(taskbell: Corridor) -> None:
    """Both have to be over."""
    first = await hold(taskbell, 2, "a funeral")
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    await hold(taskbell, 1, "snow")
    await release(taskbell, first)
    await taskbell.deliver()
    assert taskbell.told == []
    [shown] = await holds.read(taskbell.pool, taskbell.clock.now())
    assert (shown["reason"], shown["held"]) == ("snow", 1)


async def test_the_future_knows_of_it(taskbell: Corridor) -> None:
    """What is held and what is to come go out when the hold is over; nothing before."""
    await hold(taskbell, 2)
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    assert await foretold(taskbell) == [taskbell.clock.now() + 2 * HOUR] * 2


async def test_too_many_released_at_once_are_asked_about(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The storm guard counts them when they go out, not while they are held."""
    rules = """
- { id: new, when: task.created, then: [{ notify: "customer:details" }] }
storm: { messages: 3, within: 10m }
"""
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        number = await hold(taskbell, 1)
        await taskbell.webhook([taskbell.visit() for _ in range(4)])
        await taskbell.deliver()
        assert await storms.read(pool) == []
        await release(taskbell, number)
        await taskbell.deliver()
        [storm] = await storms.read(pool)
        assert (storm["held"], taskbell.told) == (4, [])
        await hold(taskbell, 1)
        await storms.release(pool, clock, storm["id"], by=Actor("Ann"))
        await taskbell.deliver()
        [shown] = await holds.read(pool, clock.now())
        assert (shown["held"], taskbell.told) == (4, [])
        # It is no storm any more that these wait for, so they are known to go out by themselves.
        assert len(await dashboard.waiting(pool, 9)) == 4
        assert await foretold(taskbell) == [clock.now() + HOUR] * 4
        await release(taskbell, shown["id"])
        await taskbell.deliver()
        assert taskbell.told == ["details"] * 4


async def test_it_says_so_on_the_command_line_too(
    taskbell: Corridor, database_url: str, folder: Path
) -> None:
    """In the list of messages, and where a task is explained."""
    await hold(taskbell, 2)
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    await taskbell.deliver()
    listed = await command(folder, "outbox", "list", "--state", "held", DATABASE_URL=database_url)
    assert "customer messages are on hold until" in " ".join(listed.out.split())
    keep = {"DATABASE_URL": database_url, "TASKBELL_KEEP_EVENTS": "99 weeks"}
    explained = await command(folder, "explain", str(visit["id"]), **keep)
    text = " ".join(explained.out.split())
    assert "customer:details: waiting until Fri 6 Mar 2026" in text
    assert ": customer messages are on hold until" in text
