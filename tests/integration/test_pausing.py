"""An account that a person has paused: nothing is asked of its system, and nothing is lost."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.sandbox.faults import Fault, FaultKind
from service.settings import read_settings
from service.store import Pool, account_actions, accounts
from service.store.views import api_lists
from tests.harness.corridor import Corridor, corridor, firm
from tests.harness.waiting import eventually
from workers import wiring, worker

RULES = """
- { id: visit, when: task.created, accounts: [field], expires: 20m,
    then: [{ notify: customer:details }] }
- { id: done, when: task.completed, then: [{ notify: accounting }] }
- { id: close, when: task.created, accounts: [field], if: 'task.title == "Close me"',
    until: task.done, then: [{ notify: employee }] }
"""
CALLS = 1000


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin("field")
        yield running


async def pause(taskbell: Corridor) -> Fault:
    """Pause the account; returns what counts down with each call that is made all the same."""
    await accounts.pause(taskbell.pool, "field")
    wire = Fault(FaultKind.FAILED, times=CALLS)
    taskbell.sandbox.kickserv.faults.set(wire)
    return wire


async def resume(taskbell: Corridor) -> None:
    taskbell.sandbox.kickserv.faults.clear()
    await accounts.resume(taskbell.pool, "field", taskbell.clock.now())


async def work(taskbell: Corridor) -> None:
    """What a worker does by itself when time has passed."""
    taskbell.clock.advance(timedelta(minutes=2))
    await taskbell.poll_what_is_due()
    await taskbell.look_up()
    await taskbell.deliver()


async def test_no_call_is_made_and_webhooks_are_read(taskbell: Corridor) -> None:
    """No poll, no lookup, nothing sent through it; other channels hear what webhooks tell."""
    visit = taskbell.visit()
    wire = await pause(taskbell)
    await taskbell.webhook({"id": taskbell.visit()["id"]})
    await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
    await work(taskbell)
    assert wire.times == CALLS
    assert taskbell.told == []
    assert await taskbell.states("visit") == ["planned"]
    assert len(taskbell.accounting.requests) == 1
    assert await taskbell.pool.fetchval("SELECT count(*) FROM lookups") == 1


async def test_after_it_all_goes_on_with_a_full_scan_first(taskbell: Corridor) -> None:
    """What waited is sent when the scan has shown how things are; what it made untrue is not."""
    await pause(taskbell)
    kept, closed = taskbell.visit(), taskbell.visit(name="Close me")
    for visit in (kept, closed):
        await taskbell.webhook(visit)
    taskbell.sandbox.kickserv.finish(str(closed["id"]))
    await resume(taskbell)
    await taskbell.deliver()
    assert taskbell.told == []
    before = taskbell.clock.now()
    await work(taskbell)
    assert await taskbell.states("close") == ["cancelled"]
    assert taskbell.told == ["details"]
    assert await taskbell.states("visit") == ["sent", "cancelled"]
    [state] = await taskbell.pool.fetch("SELECT * FROM accounts WHERE name = 'field'")
    assert state["scanned_at"] > before
    assert state["scan_asked_at"] is None


async def test_a_message_that_waited_too_long_expires(taskbell: Corridor) -> None:
    """With its reason, while the account is paused."""
    await pause(taskbell)
    await taskbell.webhook(taskbell.visit())
    taskbell.clock.advance(timedelta(minutes=20))
    await taskbell.deliver()
    [waited] = await taskbell.deliveries("visit")
    assert waited["state"] == "expired"
    assert "too late" in waited["reason"]


async def test_to_resume_what_is_not_paused_changes_nothing(taskbell: Corridor) -> None:
    """No scan, and nothing waits for one."""
    before = await taskbell.pool.fetch("SELECT * FROM accounts")
    await resume(taskbell)
    assert await taskbell.pool.fetch("SELECT * FROM accounts") == before


async def test_a_poll_that_is_going_on_is_broken_off(
    pool: Pool,
    clock: VirtualClock,
    folder: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within seconds, by whichever process makes it, and it is no failure of the account."""
    monkeypatch.setattr(worker, "_SIGN_OF_LIFE", 0.05)
    settings = read_settings({"DATABASE_URL": database_url})
    async with corridor(folder, pool, clock, RULES, partial(firm, patience="1m")) as taskbell:
        taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.SLOW, seconds=20))
        async with wiring.open_worker(settings, taskbell.config, clock) as running:
            await running.tick()

            async def is_read() -> bool:
                return bool(await pool.fetchval("SELECT count(scan_read) FROM accounts"))

            await eventually(is_read)
            await accounts.pause(pool, "field")
            await eventually(lambda: not running._polling, within=5)
    [account] = await api_lists.read_accounts(pool, clock.now(), ["field"])
    assert (account["state"], account["error"]) == ("paused", None)


async def test_reading_an_account_now_ends_the_pause_of_its_messages(taskbell: Corridor) -> None:
    """The system asked for an hour; a person who knows better has the tasks read at once."""
    throttled = Fault(FaultKind.THROTTLED, method="POST", seconds=3600)
    taskbell.sandbox.kickserv.faults.set(throttled)
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    assert throttled.times == 0
    waiting = "SELECT count(*) FROM target_turns WHERE lane = 'account:field' AND turn > $1"
    assert await taskbell.pool.fetchval(waiting, taskbell.clock.now()) == 1
    await account_actions.sync(taskbell.pool, "field", taskbell.clock.now(), by=Actor("Ann"))
    assert await taskbell.pool.fetchval(waiting, taskbell.clock.now()) == 0
