"""After an outage, of Taskbell or of a system, nobody is told what was so before it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.config.operator import Operator
from service.explain import account_status
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool, accounts
from service.store.views import api_lists
from tests.harness.corridor import Corridor, corridor, go_round
from workers import wiring
from workers.alerts import Alerts
from workers.heartbeat import Heartbeat

RULES = """
- { id: soon, when: { task.starting_soon: 30m }, accounts: [field],
    then: [{ notify: customer:on_the_way }] }
- { id: late, when: task.overdue, then: [{ notify: "slack:#office", text: "Late: {{ task.title }}",
    repeat: { every: 10m, max: 1 } }] }
"""
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        yield running


async def is_there(taskbell: Corridor) -> None:
    """A worker says that it is there, as it does at its start and several times a minute."""
    await Heartbeat(taskbell.pool, taskbell.clock, taskbell.config.accounts).note()


async def be_away(taskbell: Corridor, **time: float) -> None:
    """No worker is there for so long; then one starts."""
    taskbell.clock.advance(timedelta(**time))
    await taskbell.restart(RULES)
    await is_there(taskbell)


async def speak(taskbell: Corridor) -> None:
    """What time alone has brought about is announced and sent, as far as it may be."""
    await go_round(taskbell.worker)
    await taskbell.deliver()


async def read(taskbell: Corridor) -> None:
    """The accounts that are due are read, and what is missing in them is looked up."""
    await taskbell.poll_what_is_due()
    await taskbell.look_up()


async def five_visits(taskbell: Corridor, **fields: timedelta) -> list[str]:
    """Five visits that begin in an hour are known, and somebody is at work."""
    start = taskbell.clock.now() + timedelta(hours=1)
    dates = {"scheduled_at": start, "ends_at": start + timedelta(hours=1)}
    moved = {name: taskbell.clock.now() + after for name, after in fields.items()}
    visits = [taskbell.visit(**dates | moved) for _ in range(5)]
    await taskbell.begin("field")
    await is_there(taskbell)
    return [str(visit["id"]) for visit in visits]


def upset(taskbell: Corridor, visits: list[str]) -> None:
    """Of five visits the last one stays as it is."""
    kickserv, tomorrow = taskbell.sandbox.kickserv, taskbell.clock.now() + timedelta(days=1)
    kickserv.delete(visits[0])
    kickserv.change(visits[1], scheduled_at=tomorrow, ends_at=tomorrow + timedelta(hours=1))
    kickserv.finish(visits[2])
    kickserv.change(visits[3], employees=[])


async def told_of(taskbell: Corridor) -> list[str]:
    return [one.task_id for one in taskbell.sandbox.kickserv.record.notifications]


async def test_only_what_is_still_so_is_told_after_taskbell_was_away(taskbell: Corridor) -> None:
    """Five visits come soon; meanwhile one is deleted, moved, done, left without anybody."""
    visits = await five_visits(taskbell)
    upset(taskbell, visits)
    await be_away(taskbell, minutes=35)
    await speak(taskbell)
    assert await taskbell.events() == []
    await read(taskbell)
    await speak(taskbell)
    assert await told_of(taskbell) == [visits[4]]
    [left] = [one for one in await taskbell.deliveries("soon") if one["state"] != "sent"]
    assert (left["task"], left["state"]) == (visits[3], "cancelled")
    assert left["reason"] == "cancelled: no one is assigned, so no one is on the way"


async def test_only_what_is_still_so_is_told_after_the_system_was_away(
    taskbell: Corridor,
) -> None:
    """Reads answer 500 while the alarms come: they wait until the system can be read again."""
    visits = await five_visits(taskbell)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
    upset(taskbell, visits)
    for _ in range(35):
        taskbell.clock.advance(MINUTE)
        await is_there(taskbell)
        await read(taskbell)
        await speak(taskbell)
    assert await told_of(taskbell) == []
    taskbell.sandbox.kickserv.faults.clear()
    for _ in range(16):
        taskbell.clock.advance(MINUTE)
        await is_there(taskbell)
        await read(taskbell)
        await speak(taskbell)
    assert await told_of(taskbell) == [visits[4]]


async def test_the_office_is_not_told_of_what_was_done_meanwhile(taskbell: Corridor) -> None:
    """An overdue job that was finished during the outage is no news, nor its repetition."""
    visits = await five_visits(taskbell, scheduled_at=-MINUTE, ends_at=10 * MINUTE)
    taskbell.clock.advance(11 * MINUTE)
    await is_there_all_the_while(taskbell)
    await speak(taskbell)
    assert len(taskbell.posts) == 5
    for number in visits[1:]:
        taskbell.sandbox.kickserv.finish(number)
    await be_away(taskbell, minutes=35)
    await speak(taskbell)
    assert len(taskbell.posts) == 5
    await read(taskbell)
    await speak(taskbell)
    assert len(taskbell.posts) == 6
    assert await taskbell.states("late") == ["sent", "sent"] + ["sent", "cancelled"] * 4


async def is_there_all_the_while(taskbell: Corridor) -> None:
    """The account is looked after, and read, as if there had been no leap in time."""
    await taskbell.pool.execute("UPDATE accounts SET alive_until = NULL")
    await is_there(taskbell)


async def test_alarms_of_the_office_do_not_wait_for_ever(taskbell: Corridor) -> None:
    """A system that cannot be read for half an hour: then the office hears what is known of it."""
    await five_visits(taskbell, scheduled_at=-MINUTE, ends_at=10 * MINUTE)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
    await be_away(taskbell, minutes=35)
    for _ in range(29):
        await read(taskbell)
        await speak(taskbell)
        taskbell.clock.advance(MINUTE)
        await is_there(taskbell)
    assert taskbell.posts == []
    taskbell.clock.advance(2 * MINUTE)
    await is_there(taskbell)
    await speak(taskbell)
    assert len(taskbell.posts) == 5


@pytest.mark.parametrize("hours", [0.6, 40])
async def test_an_outage_of_both_is_waited_for_as_well(taskbell: Corridor, hours: float) -> None:
    """The system failed before Taskbell was away, and fails still when that is back."""
    visits = await five_visits(taskbell, scheduled_at=-MINUTE, ends_at=20 * MINUTE)
    kickserv = taskbell.sandbox.kickserv
    kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
    for _ in range(10):
        taskbell.clock.advance(MINUTE)
        await is_there(taskbell)
        await read(taskbell)
    for number in visits[1:]:
        kickserv.finish(number)
    await be_away(taskbell, hours=hours)
    for _ in range(20):
        await read(taskbell)
        await speak(taskbell)
        taskbell.clock.advance(MINUTE)
        await is_there(taskbell)
    assert taskbell.posts == []
    kickserv.faults.clear()
    await taskbell.poll(full=True)
    await taskbell.look_up()
    await speak(taskbell)
    assert len(taskbell.posts) == 1


@pytest.mark.parametrize("minutes", [0.2, 1.9])
async def test_a_restart_delays_nothing(taskbell: Corridor, minutes: float) -> None:
    """A roll-out takes seconds: alarms ring at once, by what is known."""
    await five_visits(taskbell)
    taskbell.clock.advance(timedelta(minutes=29))
    await is_there_all_the_while(taskbell)
    await be_away(taskbell, minutes=minutes)
    await taskbell.tick(minutes=2)
    assert len(await taskbell.states("soon")) == 5


async def test_a_machine_that_slept_is_an_outage(taskbell: Corridor) -> None:
    """The process goes on as if nothing had been, and rings nothing before it has looked."""
    await five_visits(taskbell)
    taskbell.clock.advance(timedelta(minutes=45))
    await speak(taskbell)
    assert await taskbell.events() == []
    await is_there(taskbell)
    await speak(taskbell)
    assert await taskbell.events() == []
    await read(taskbell)
    await speak(taskbell)
    assert len(await told_of(taskbell)) == 5


async def test_after_a_pause_alarms_wait_as_well(taskbell: Corridor) -> None:
    """What is resumed is read before anything is said of it."""
    visits = await five_visits(taskbell)
    await accounts.pause(taskbell.pool, "field")
    for number in visits[1:]:
        taskbell.sandbox.kickserv.finish(number)
    taskbell.clock.advance(timedelta(minutes=29))
    await accounts.resume(taskbell.pool, "field", taskbell.clock.now())
    await is_there_all_the_while(taskbell)
    await taskbell.tick(minutes=2)
    assert await taskbell.events() == []
    await read(taskbell)
    await speak(taskbell)
    assert await told_of(taskbell) == visits[:1]


async def test_the_operator_hears_of_it_once(taskbell: Corridor) -> None:
    """How long it was, what was read since, and that nothing, or what, was left out."""
    config = replace(taskbell.config, operator=Operator("slack", "#office"))
    alerts = Alerts(taskbell.pool, taskbell.clock, ["field"], wiring.operator_address(config))
    visits = await five_visits(taskbell)
    upset(taskbell, visits)
    await be_away(taskbell, minutes=35)
    await alerts.batch()
    await read(taskbell)
    await speak(taskbell)
    taskbell.clock.advance(2 * MINUTE)
    for _ in range(2):
        await alerts.batch()
        await taskbell.deliver()
    [said] = taskbell.posts
    assert said == (
        "Taskbell did not run from Fri 6 Mar, 07:01 to Fri 6 Mar, 07:36 (35 minutes)."
        " It has since read all changes in: field.\n1 message was cancelled because its task had"
        " changed.\nNo message was too late."
    )


async def shown(taskbell: Corridor) -> tuple[str, str | None]:
    """How the account is said to be, and what waits."""
    [row] = await api_lists.read_accounts(taskbell.pool, taskbell.clock.now(), ["field"])
    return account_status.name_of(row), account_status.what_waits(row, "{:%H:%M}".format)


async def test_the_account_says_that_it_is_read_anew(taskbell: Corridor) -> None:
    """From when to when Taskbell was away, and what waits until when; nothing once it was read."""
    await five_visits(taskbell)
    assert await shown(taskbell) == ("ok", None)
    taskbell.clock.advance(timedelta(minutes=5))
    says = (
        "Taskbell has not processed this account since 12:01."
        " Due messages wait until the part of Taskbell that does this (a worker process) runs."
    )
    assert await shown(taskbell) == ("not being processed", says)
    await be_away(taskbell, minutes=30)
    says = (
        "Taskbell was not running from 12:01 to 12:36. It may have missed changes, so it is"
        " reading all tasks again. Time-based and combined messages wait for this, but no longer"
        " than 13:06. Messages sent through Kickserv wait until it is finished."
    )
    assert await shown(taskbell) == ("reading all tasks again", says)
    taskbell.clock.advance(timedelta(minutes=31))
    await is_there_all_the_while(taskbell)
    says = (await shown(taskbell))[1] or ""
    assert "which may be out of date. Messages sent through Kickserv" in says
    await read(taskbell)
    assert await shown(taskbell) == ("ok", None)


async def test_an_account_that_fails_says_what_waits(taskbell: Corridor) -> None:
    """For half an hour alarms wait; then they go by what was known."""
    await five_visits(taskbell)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
    taskbell.clock.advance(MINUTE)
    await is_there(taskbell)
    await read(taskbell)
    customers = "A customer gets a message only if Taskbell can read that customer's task."
    assert await shown(taskbell) == (
        "failing",
        (
            "Time-based and combined messages wait until the account can be read, but no longer"
            f" than 12:32. {customers}"
        ),
    )
    taskbell.clock.advance(timedelta(minutes=31))
    await is_there_all_the_while(taskbell)
    assert await shown(taskbell) == (
        "failing",
        (
            "The account has failed for too long, so time-based and combined messages are now sent"
            f" from the last known data, which may be out of date. {customers}"
        ),
    )


async def test_what_is_resumed_says_that_it_is_read_anew(taskbell: Corridor) -> None:
    """Without an outage nobody says that Taskbell was away; while it is paused nothing is said."""
    await five_visits(taskbell)
    await accounts.pause(taskbell.pool, "field")
    assert await shown(taskbell) == ("paused", None)
    taskbell.clock.advance(MINUTE)
    await accounts.resume(taskbell.pool, "field", taskbell.clock.now())
    name, says = await shown(taskbell)
    assert (name, (says or "").partition(" Time-based")[0]) == (
        "reading all tasks again",
        (
            "Taskbell was not reading this account until 12:02. It may have missed changes, so it"
            " is reading all tasks again."
        ),
    )


async def test_what_is_written_does_not_wait_for_ever(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The list cannot be read, single tasks can: after half an hour the account is worked with."""
    rules = """
- { id: bill, when: task.completed, accounts: [field],
    then: [{ create_task: { title: Bill, type: job } }] }
- { id: tell, when: task.completed, accounts: [field], then: [{ notify: customer:details }] }
"""
    async with corridor(folder, pool, clock, rules) as taskbell:
        kickserv, visit = taskbell.sandbox.kickserv, taskbell.visit()
        await taskbell.begin("field")
        kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, path="tasks.json", method="GET"))
        for minute in range(40):
            clock.advance(MINUTE)
            await read(taskbell)
            if minute == 20:
                await taskbell.webhook(kickserv.finish(str(visit["id"])))
            await taskbell.deliver()
            if minute < 29:
                assert taskbell.told == []
        assert taskbell.told == ["details"]
        assert await taskbell.states("bill") == ["sent"]
