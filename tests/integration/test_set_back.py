"""A clock that was a year ahead is right again: nothing waits for the year to pass."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.model import Cause
from service.outbox import destinations
from service.outbox.destinations import LaneOutage
from service.sandbox.faults import Fault, FaultKind
from service.settings import read_settings
from service.store import Pool
from service.store.lookups import PostgresLookups
from service.store.tasks import Key
from tests.harness.corridor import Corridor, corridor
from workers import wiring

YEAR = timedelta(days=365)
RULES = """
- { id: done, when: task.completed, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
"""
DIGEST = """
- { id: hourly, when: task.completed, group: { by: task.title, wait: 1h },
    then: [{ notify: accounting }] }
"""
# The tests begin at seven in the morning in New York.
MORNING = """
- { id: morning, when: { schedule: "30 7 * * *" }, accounts: [field],
    then: [{ notify: accounting }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell whose Kickserv does not say when tasks are changed."""
    async with corridor(folder, pool, clock, RULES) as running:
        running.sandbox.kickserv.set_quirks(stamped=False)
        yield running


async def set_back(taskbell: Corridor) -> None:
    """The clock is right again, and the worker is started anew."""
    taskbell.clock.advance(-YEAR)
    await taskbell.restart(RULES)


async def test_what_is_seen_is_believed(taskbell: Corridor) -> None:
    """A task that was seen in a year to come changes and goes, and both is told."""
    kickserv, visit, other = taskbell.sandbox.kickserv, taskbell.visit(), taskbell.visit()
    await taskbell.begin("field")
    taskbell.clock.advance(YEAR)
    for one in (visit, other):
        await taskbell.webhook(kickserv.change(str(one["id"]), name="Dig"))
    await taskbell.look_up()
    await taskbell.poll(full=True)
    await set_back(taskbell)
    taskbell.clock.advance(timedelta(seconds=1))
    kickserv.finish(str(visit["id"]))
    kickserv.delete(str(other["id"]))
    await taskbell.poll_what_is_due()
    await taskbell.look_up()
    assert "completed by poll" in await taskbell.events(visit["id"])
    assert "deleted by fetch" in await taskbell.events(other["id"])


async def test_an_account_that_failed_is_called_again(taskbell: Corridor) -> None:
    """Neither its next poll nor its open breaker waits."""
    await taskbell.begin("field")
    taskbell.clock.advance(YEAR)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.THROTTLED, seconds=3600))
    await taskbell.poll()
    await set_back(taskbell)
    visit = taskbell.visit()
    await taskbell.poll_what_is_due()
    assert await taskbell.events(visit["id"]) == ["created by poll"]


async def test_what_waits_does_not_wait_for_a_year(taskbell: Corridor) -> None:
    """Neither a webhook, nor a task to be read, nor a message."""
    kickserv, visit, other = taskbell.sandbox.kickserv, taskbell.visit(), taskbell.visit()
    await taskbell.begin("field")
    taskbell.clock.advance(YEAR)
    await taskbell.webhook(kickserv.finish(str(visit["id"])))
    await taskbell.look_up()
    assert await taskbell.states("done") == ["planned"]
    keys: list[Key] = [("field", str(other["id"]))]
    async with taskbell.pool.acquire() as connection:
        await PostgresLookups(connection).ask(keys, Cause.WEBHOOK, taskbell.clock.now())
    await taskbell.receive(kickserv.change(str(other["id"]), name="Dig"))
    await set_back(taskbell)
    await taskbell.deliver()
    assert await taskbell.states("done") == ["sent"]
    await taskbell.ingest()
    await taskbell.look_up()
    assert "changed by webhook" in await taskbell.events(other["id"])
    assert not await taskbell.pool.fetchval("SELECT count(*) FROM lookups")
    latest = await taskbell.pool.fetchval("SELECT max(observed_at) FROM tasks")
    assert latest <= taskbell.clock.now()


async def test_a_receiver_with_a_pace_is_sent_to(taskbell: Corridor) -> None:
    """The turn of its next message is not in a year."""
    taskbell.head["accounting_options"] = "timeout: 3s, rate: 1/s, burst: 1"
    await taskbell.restart(RULES)
    kickserv, visit, other = taskbell.sandbox.kickserv, taskbell.visit(), taskbell.visit()
    await taskbell.begin("field")
    taskbell.clock.advance(YEAR)
    await taskbell.webhook(kickserv.finish(str(visit["id"])))
    await taskbell.look_up()
    await taskbell.deliver("accounting")
    await set_back(taskbell)
    await taskbell.webhook(kickserv.finish(str(other["id"])))
    await taskbell.look_up()
    await taskbell.deliver("accounting")
    assert await taskbell.states("done") == ["sent", "sent"]


async def test_a_lane_that_failed_is_tried_again(taskbell: Corridor) -> None:
    """It is tried at once, not in a year."""
    taskbell.clock.advance(YEAR)
    now = taskbell.clock.now()
    outage = LaneOutage(now, "nobody is there", now + timedelta(seconds=5), 0)
    await destinations.begin_outage(taskbell.pool, "accounting", outage)
    await set_back(taskbell)
    found = (await destinations.outages(taskbell.pool))["accounting"]
    assert found.since == found.probe_at == taskbell.clock.now()


async def test_alarms_ring_when_their_time_comes(taskbell: Corridor) -> None:
    """A task that was first seen in a year to come is not taken for overdue since long."""
    taskbell.clock.advance(YEAR)
    visit = taskbell.visit(created_at=taskbell.clock.now() - 2 * YEAR)
    await taskbell.begin("field")
    later = taskbell.clock.now() - YEAR + timedelta(days=1)
    taskbell.sandbox.kickserv.change(str(visit["id"]), scheduled_at=later, ends_at=later)
    await set_back(taskbell)
    await taskbell.poll_what_is_due()
    await taskbell.tick(hours=25)
    assert "overdue by clock" in await taskbell.events(visit["id"])


async def test_a_schedule_comes_again(taskbell: Corridor) -> None:
    """The next morning is told of, not the one in a year; what came within the hour, once.

    What the wrong clock had missed stays on record.
    """
    await taskbell.restart(RULES + MORNING)
    await taskbell.begin("field")
    await taskbell.tick(days=365)
    taskbell.clock.advance(-YEAR)
    await taskbell.worker.clock_round.renew()
    await taskbell.tick(minutes=30)
    assert await taskbell.events("") == ["scheduled by clock"] * 2
    taskbell.clock.advance(timedelta(minutes=-30))
    await taskbell.worker.clock_round.renew()
    await taskbell.tick(minutes=30)
    assert await taskbell.events("") == ["scheduled by clock"] * 2


async def test_a_digest_closes_when_it_should(taskbell: Corridor) -> None:
    """An hour after it was opened, not after a year and an hour; however often it is looked at."""
    await taskbell.restart(RULES + DIGEST)
    visit = taskbell.visit()
    await taskbell.begin("field")
    taskbell.clock.advance(YEAR)
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
    await taskbell.look_up()
    taskbell.clock.advance(-YEAR)
    for _ in range(2):
        await taskbell.restart(RULES + DIGEST)
        await taskbell.tick(minutes=29)
    assert await taskbell.deliveries("hourly") == []
    await taskbell.tick(minutes=2)
    assert len(await taskbell.deliveries("hourly")) == 1


async def test_a_worker_notices_that_its_clock_was_set_back(
    taskbell: Corridor, database_url: str
) -> None:
    """A running worker takes back wrong times when its clock is set back, without a restart."""
    await taskbell.begin("field")
    settings = read_settings({"DATABASE_URL": database_url})
    taskbell.clock.advance(YEAR)
    async with wiring.open_worker(settings, taskbell.config, taskbell.clock) as running:
        await taskbell.poll(full=True)
        taskbell.clock.advance(-YEAR)
        await running.sweep()
        assert await next_poll_at(taskbell) == taskbell.clock.now()


async def test_a_clock_that_is_right_changes_nothing(taskbell: Corridor) -> None:
    """Times in the future stay as they are while the clock has not been wrong."""
    await taskbell.begin("field")
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.THROTTLED, seconds=86_400))
    await taskbell.poll()
    paused_until = await next_poll_at(taskbell)
    later = taskbell.clock.now() + timedelta(hours=2)
    await taskbell.pool.execute("INSERT INTO target_turns VALUES ('accounting', '', $1)", later)
    await taskbell.restart(RULES)
    assert await next_poll_at(taskbell) == paused_until > taskbell.clock.now()
    assert await taskbell.pool.fetchval("SELECT turn FROM target_turns") == later


async def next_poll_at(taskbell: Corridor) -> datetime:
    found: datetime = await taskbell.pool.fetchval(
        "SELECT next_poll_at FROM accounts WHERE name = 'field'"
    )
    return found
