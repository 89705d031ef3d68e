"""A rule about a task in one account creates a task in another one (`create_task` with `in`)."""

from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool, account_actions
from tests.harness.corridor import Corridor, corridor

BY = Actor("Ann")
INVOICE = """
- id: invoice
  when: task.completed
  accounts: [field]
  then: [{ create_task: { in: london, title: "Invoice for {{ task.title }}", due: 1 day } }]
- id: made
  when: task.created
  then: [{ notify: accounting }]
"""
PING_PONG = """
- id: there
  when: task.created
  accounts: [field]
  own_writes: true
  then: [{ create_task: { in: london, title: "There: {{ task.title }}" } }]
- id: back
  when: task.created
  accounts: [london]
  own_writes: true
  then: [{ create_task: { in: field, title: "Back: {{ task.title }}", type: invoice } }]
"""


async def finish(taskbell: Corridor) -> None:
    """A visit in Kickserv is finished."""
    visit = taskbell.visit(name="Gutters")
    await taskbell.begin()
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))


def made(taskbell: Corridor) -> list[str]:
    """The ids of the invoices in Plannr."""
    tasks = taskbell.sandbox.plannr.tasks
    return [key for key, one in tasks.items() if "Invoice for Gutters" in str(one)]


async def test_a_task_is_made_in_the_other_account(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """It is read back there, and is our own: no rule there acts on it, however it comes in."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        await finish(taskbell)
        await taskbell.deliver()
        [delivery] = await taskbell.deliveries()
        assert (delivery["account"], delivery["target"], delivery["lane"]) == (
            *("field", "london"),
            "writes:london",
        )
        [invoice] = made(taskbell)
        assert len(taskbell.sandbox.kickserv.tasks) == 1
        await taskbell.look_up("london")
        await taskbell.poll("london")
        await taskbell.look_up("london")
        assert await taskbell.events(invoice) == ["created by write"]
        assert len(await taskbell.deliveries()) == 1


async def test_it_is_ours_though_a_poll_sees_it_first(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """While the call has no answer, its title in that account says whose it is."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        await finish(taskbell)
        taskbell.sandbox.plannr.faults.set(Fault(FaultKind.RESET_AFTER, method="POST"))
        await taskbell.deliver()
        assert await taskbell.states() == ["planned"]
        await taskbell.poll("london")
        [invoice] = made(taskbell)
        assert await taskbell.events(invoice) == ["created by write"]


@pytest.mark.parametrize("kind", [FaultKind.FAILED, FaultKind.FAILED_AFTER, FaultKind.RESET_AFTER])
async def test_it_is_made_once_though_the_answer_was_lost(
    kind: FaultKind, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The other account is asked before the call is made again, also by another process."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        await finish(taskbell)
        taskbell.sandbox.plannr.faults.set(Fault(kind, method="POST"))
        await taskbell.deliver()
        clock.advance(timedelta(minutes=6))
        await taskbell.restart(INVOICE)
        await taskbell.deliver()
        [delivery] = await taskbell.deliveries()
        [invoice] = made(taskbell)
        assert (delivery["state"], orjson.loads(delivery["receipt"])) == ("sent", {"task": invoice})


async def test_what_was_there_before_is_not_taken_for_it(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A task of that title that was known in the other account is another one."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        taskbell.sandbox.plannr.make(description="Invoice for Gutters")
        old = made(taskbell)
        await finish(taskbell)
        taskbell.sandbox.plannr.faults.set(Fault(FaultKind.FAILED, method="POST"))
        await taskbell.deliver()
        clock.advance(timedelta(minutes=6))
        await taskbell.deliver()
        [delivery] = await taskbell.deliveries()
        assert delivery["state"] == "sent"
        assert orjson.loads(delivery["receipt"])["task"] not in old


async def test_a_loop_over_two_accounts_ends(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Each rule makes a task for what the other made: the third is stopped, with the reason."""
    async with corridor(folder, pool, clock, PING_PONG) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit(name="Gutters"))
        for _ in range(6):
            await taskbell.tick(minutes=5)
            await taskbell.deliver()
            for account in ("field", "london"):
                await taskbell.look_up(account)
                await taskbell.poll(account)
        assert await taskbell.states() == ["sent", "sent", "skipped"]
        reasons = [one["reason"] for one in await taskbell.deliveries()]
        assert "stopped to prevent a loop" in reasons[-1]


async def test_the_other_account_says_when(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """While it is paused, nothing is written to it; the pause of the own account delays nothing."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        await finish(taskbell)
        await account_actions.pause(pool, "london", clock.now(), by=BY)
        await taskbell.deliver()
        assert await taskbell.states() == ["planned"]
        await account_actions.resume(pool, "london", clock.now(), by=BY)
        await account_actions.pause(pool, "field", clock.now(), by=BY)
        await taskbell.poll("london", full=True)
        await taskbell.deliver()
        assert await taskbell.states() == ["sent"]


async def test_what_goes_to_an_account_that_is_gone_is_cancelled(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """It is given up as soon as no worker has the other account any more, with the reason."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        await finish(taskbell)
        clock.advance(timedelta(minutes=1))
        await taskbell.restart(INVOICE.replace("in: london, ", "type: invoice, "), "london")
        [delivery] = await taskbell.deliveries()
        assert delivery["state"] == "cancelled"
        assert "london" in delivery["reason"]
