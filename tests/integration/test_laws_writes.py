"""Law 12: what Taskbell writes itself sets off no rule, and what others do meanwhile does."""

from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.waiting import eventually

INVOICE = """
- id: invoice
  when: task.completed
  then: [{ create_task: { title: "Invoice for {{ task.title }}", type: invoice } }]
- id: made
  when: task.created
  then: [{ create_task: { title: "Check {{ task.title }}", type: invoice } }]
- id: urgent
  when: task.reopened
  then: [{ update_task: { title: "AGAIN {{ task.title }}" } }]
- id: renamed
  when: { task.changed: [title] }
  then: [{ update_task: { title: "renamed" } }]
- id: moved
  when: task.rescheduled
  then: [{ complete_task: true }]
"""


async def test_a_created_task_is_ours_after_the_answer(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Read back, polled and pushed, the task that a rule created is one event, and nobody's cue."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        visit = taskbell.visit()
        await taskbell.begin()
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
        await taskbell.deliver()
        [made] = [one for one in taskbell.sandbox.kickserv.tasks.values() if one is not visit]
        await taskbell.look_up()
        await taskbell.webhook(made)
        await taskbell.poll()
        await taskbell.look_up()
        assert await taskbell.events(made["id"]) == ["created by write"]
        assert [one["rule"] for one in await taskbell.deliveries()] == ["invoice"]


async def test_a_created_task_is_ours_though_it_does_not_show_at_once(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Read back too early there is no such task; the poll that brings it does not make it news."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        await bill(taskbell)
        await taskbell.deliver()
        [made] = invoices(taskbell)
        taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.NOT_FOUND, path=made))
        await taskbell.look_up()
        clock.advance(timedelta(minutes=1))
        await taskbell.poll()
        assert await taskbell.events(made) == ["created by write"]
        assert [one["rule"] for one in await taskbell.deliveries()] == ["invoice"]


@pytest.mark.parametrize("road", ["webhook", "poll"])
async def test_a_created_task_is_ours_before_the_answer(
    road: str, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """It comes in while the call that made it has no answer yet: its title says whose it is."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        visit = taskbell.visit()
        await taskbell.begin()
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
        taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.RESET_AFTER, method="POST"))
        await taskbell.deliver()
        assert await taskbell.states() == ["planned"]
        [made] = [one for one in taskbell.sandbox.kickserv.tasks.values() if one is not visit]
        if road == "webhook":
            await taskbell.webhook(made)
        else:
            await taskbell.poll()
        assert await taskbell.events(made["id"]) == ["created by write"]
        assert len(await taskbell.deliveries()) == 1


async def bill(taskbell: Corridor) -> None:
    """A rule wants an invoice for a visit that was just finished."""
    visit = taskbell.visit()
    await taskbell.begin()
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))


def invoices(taskbell: Corridor) -> list[str]:
    tasks = taskbell.sandbox.kickserv.tasks
    return [key for key, task in tasks.items() if task["name"].startswith("Invoice")]


@pytest.mark.parametrize("kind", [FaultKind.FAILED, FaultKind.FAILED_AFTER, FaultKind.RESET_AFTER])
async def test_a_task_is_made_once_though_the_answer_was_lost(
    kind: FaultKind, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Whether the call was carried out or not: the system is asked before it is made again."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        await bill(taskbell)
        taskbell.sandbox.kickserv.faults.set(Fault(kind, method="POST"))
        await taskbell.deliver()
        clock.advance(timedelta(minutes=4))
        await taskbell.deliver()
        assert await taskbell.states() == ["planned"]
        clock.advance(timedelta(minutes=2))
        await taskbell.restart(INVOICE)
        await taskbell.deliver()
        [delivery] = await taskbell.deliveries()
        [made] = invoices(taskbell)
        assert (delivery["state"], orjson.loads(delivery["receipt"])) == ("sent", {"task": made})
        await taskbell.look_up()
        assert await taskbell.events(made) == ["created by write"]


async def test_a_task_is_made_once_though_the_process_died(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """While the call was under way: the next one waits for what is made, and finds it."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        await bill(taskbell)
        [claim] = await taskbell.claim("writes:field")
        await taskbell.lose_workers(minutes=1)
        clock.advance(timedelta(minutes=3))
        await taskbell.deliver()
        assert await taskbell.states() == ["planned"]
        await taskbell.sources["field"].create_task(claim.message.fields or {})
        clock.advance(timedelta(minutes=3))
        await taskbell.deliver()
        assert await taskbell.states() == ["sent"]
        assert len(invoices(taskbell)) == 1


async def test_a_task_is_made_once_though_taskbell_was_stopped(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Kickserv is slow to make it; whoever goes on after the restart waits for it to show."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        await bill(taskbell)
        kickserv, lane = taskbell.sandbox.kickserv, taskbell.worker.lanes["writes:field"]
        kickserv.faults.set(Fault(FaultKind.SLOW, method="POST", seconds=30))
        await lane.batch()
        await eventually(lambda: any("POST" in one for one in kickserv.record.requests))
        await lane.finish(0)
        clock.advance(timedelta(minutes=4))
        await taskbell.restart(INVOICE)
        await taskbell.deliver()
        assert (await taskbell.states(), invoices(taskbell)) == (["planned"], [])


async def test_two_tasks_of_one_name_are_two(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """One was made and one was not, and nobody got an answer: none is taken for the other."""
    rules = INVOICE.replace("Invoice for {{ task.title }}", "Invoice")
    async with corridor(folder, pool, clock, rules) as taskbell:
        kickserv, visits = taskbell.sandbox.kickserv, [taskbell.visit(), taskbell.visit()]
        await taskbell.begin()
        for visit in visits:
            await taskbell.webhook(kickserv.finish(str(visit["id"])))
        for kind in (FaultKind.FAILED, FaultKind.FAILED_AFTER):
            kickserv.faults.set(Fault(kind, method="POST"))
        await taskbell.deliver()
        assert len(invoices(taskbell)) == 1
        clock.advance(timedelta(minutes=6))
        await taskbell.restart(rules)
        await taskbell.deliver()
        receipts = {delivery["receipt"] for delivery in await taskbell.deliveries()}
        assert len(receipts) == len(invoices(taskbell)) == 2


async def test_a_task_that_was_known_before_is_not_taken_for_ours(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """An older invoice has the same name, and Kickserv need not say when it was made."""
    rules = INVOICE.replace("Invoice for {{ task.title }}", "Invoice")
    async with corridor(folder, pool, clock, rules) as taskbell:
        kickserv, visit = taskbell.sandbox.kickserv, taskbell.visit()
        old = taskbell.visit(name="Invoice", job={"id": 1, "name": "Garden"})
        del old["created_at"]
        await taskbell.begin()
        await taskbell.webhook(kickserv.finish(str(visit["id"])))
        kickserv.faults.set(Fault(FaultKind.FAILED, method="POST"))
        await taskbell.deliver()
        clock.advance(timedelta(minutes=6))
        kickserv.change(str(old["id"]), description="paid by card")
        await taskbell.poll()
        await taskbell.deliver()
        assert len(invoices(taskbell)) == 2


async def test_what_another_delivery_made_is_not_taken_for_ours(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The first one got its answer, the second one got none and was not carried out."""
    rules = INVOICE.replace("Invoice for {{ task.title }}", "Invoice")
    async with corridor(folder, pool, clock, rules) as taskbell:
        kickserv, visits = taskbell.sandbox.kickserv, [taskbell.visit(), taskbell.visit()]
        await taskbell.begin()
        await taskbell.webhook(kickserv.finish(str(visits[0]["id"])))
        await taskbell.deliver()
        await taskbell.webhook(kickserv.finish(str(visits[1]["id"])))
        kickserv.faults.set(Fault(FaultKind.FAILED, method="POST"))
        await taskbell.deliver()
        clock.advance(timedelta(minutes=6))
        await taskbell.restart(rules)
        await taskbell.deliver()
        assert await taskbell.states() == ["sent", "sent"]
        assert len(invoices(taskbell)) == 2


@pytest.mark.parametrize("when", ["sending", "answered", "lost"])
async def test_an_update_is_ours_at_every_moment(
    when: str, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Its echo comes while it is under way, after it, or after its answer was lost."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        kickserv, visit = taskbell.sandbox.kickserv, taskbell.visit()
        number = str(visit["id"])
        kickserv.finish(number)
        await taskbell.begin()
        await taskbell.webhook(kickserv.change(number, completed_on=None))
        clock.advance(timedelta(seconds=1))
        if when == "lost":
            kickserv.faults.set(Fault(FaultKind.RESET_AFTER, method="PUT"))
        if when == "sending":
            await pool.execute("UPDATE deliveries SET state = 'sending', attempts = 1")
            kickserv.change(number, name=f"AGAIN {visit['name']}")
        else:
            await taskbell.deliver()
        clock.advance(timedelta(seconds=1))
        assert visit["name"].startswith("AGAIN")
        await taskbell.webhook(visit)
        assert await taskbell.events(number) == ["reopened by webhook", "changed by write"]
        clock.advance(timedelta(seconds=10))
        await taskbell.deliver()
        await taskbell.look_up()
        await taskbell.poll()
        assert await taskbell.events(number) == ["reopened by webhook", "changed by write"]
        assert [one["rule"] for one in await taskbell.deliveries()] == ["urgent"]


async def test_a_completion_of_ours_completes_nothing_else(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A rule that completes tasks does not set off the rule about completed ones."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        visit = taskbell.sandbox.plannr.make(due=clock.now() + timedelta(days=2))
        await taskbell.begin()
        moved = taskbell.sandbox.plannr.change(visit["uuid"], due=clock.now() + timedelta(days=3))
        await taskbell.webhook(moved, "london")
        await taskbell.deliver()
        clock.advance(timedelta(seconds=1))
        await taskbell.look_up("london")
        await taskbell.poll("london")
        assert await taskbell.events(visit["uuid"]) == [
            "rescheduled by webhook",
            "completed by write",
        ]
        assert [one["rule"] for one in await taskbell.deliveries()] == ["moved"]


async def test_what_others_change_meanwhile_is_theirs(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """While our own write is not read back yet, somebody completes the task: rules hear of it."""
    async with corridor(folder, pool, clock, INVOICE) as taskbell:
        kickserv, visit = taskbell.sandbox.kickserv, taskbell.visit()
        number = str(visit["id"])
        kickserv.finish(number)
        await taskbell.begin()
        await taskbell.webhook(kickserv.change(number, completed_on=None))
        await taskbell.deliver()
        clock.advance(timedelta(seconds=1))
        kickserv.finish(number)
        await taskbell.look_up()
        assert await taskbell.events(number) == [
            "reopened by webhook",
            "completed by fetch",
            "changed by write",
        ]
        assert [one["rule"] for one in await taskbell.deliveries()] == ["urgent", "invoice"]


async def test_a_rule_may_ask_for_our_own_writes(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """With own_writes a rule hears of them, and only that rule."""
    rules = (
        INVOICE
        + """
- id: watch
  when: task.created
  own_writes: true
  then: [{ notify: accounting }]
"""
    )
    async with corridor(folder, pool, clock, rules) as taskbell:
        visit = taskbell.visit()
        await taskbell.begin()
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
        await taskbell.deliver()
        await taskbell.look_up()
        assert [one["rule"] for one in await taskbell.deliveries()] == ["invoice", "watch"]


LOOPS = [
    """
- { id: chase, when: task.overdue,
    then: [{ create_task: { title: "Chase {{ task.title }}", type: invoice, due: 1h } }] }
""",
    """
- { id: chase, when: task.overdue, if: task.type == "job",
    then: [{ create_task: { title: "Ask", type: invoice, due: 1h } }] }
- { id: ask, when: task.overdue, if: task.type == "invoice",
    then: [{ create_task: { title: "Chase", type: job, due: 1h } }] }
""",
    """
- { id: chase, when: task.overdue, then: [{ complete_task: true }] }
- { id: more, when: task.created, own_writes: true,
    then: [{ create_task: { title: "More of {{ task.title }}", type: invoice } }] }
""",
]


@pytest.mark.parametrize("rules", LOOPS)
async def test_loops_end(rules: str, pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """A rule that sets itself off, by the clock, over another rule or on request, is stopped."""
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit())
        for _ in range(12):
            await taskbell.tick(hours=6)
            await taskbell.deliver()
            await taskbell.look_up()
            await taskbell.poll()
        assert len(taskbell.sandbox.kickserv.tasks) <= 3
        made = [one for one in await taskbell.deliveries() if one["channel"] == "create_task"]
        assert made[-1]["state"] == "skipped"
        assert "stopped to prevent a loop" in made[-1]["reason"]


GROWING = """
- { id: grow, when: { task.changed: [title] }, own_writes: true,
    then: [{ update_task: { title: "x {{ task.title }}" } }, { notify: accounting }] }
"""
ANSWERING = """
- { id: ping, when: { task.changed: [title] }, own_writes: true, if: "!(task.title.endsWith('!'))",
    then: [{ update_task: { title: "{{ task.title }}!" } }] }
- { id: pong, when: { task.changed: [title] }, own_writes: true, if: "task.title.endsWith('!')",
    then: [{ update_task: { title: "{{ task.title }}?" } }] }
"""
ENDLESS = "stopped to prevent a loop: this was caused by a change that the rule itself made"


@pytest.mark.parametrize(
    ("rules", "titles"),
    [(GROWING, ["x a", "x b"]), (ANSWERING, ["a!?", "b!?"])],
    ids=["growing", "answering"],
)
async def test_changes_that_bring_about_themselves_end(
    rules: str, titles: list[str], pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A rule does not act on its own change, or on an answer to it; a person's begins anew."""
    async with corridor(folder, pool, clock, rules) as taskbell:
        kickserv, visit = taskbell.sandbox.kickserv, taskbell.visit()
        await taskbell.begin()
        found = []
        for name in ("a", "b"):
            await taskbell.webhook(kickserv.change(str(visit["id"]), name=name))
            for _ in range(6):
                await taskbell.deliver()
                clock.advance(timedelta(seconds=10))
                await taskbell.webhook(visit)
                await taskbell.look_up()
                await taskbell.tick(seconds=10)
            found.append(visit["name"])
        assert found == titles
        last = (await taskbell.deliveries())[-1]
        assert (last["state"], last["reason"]) == ("skipped", ENDLESS)
        assert len(taskbell.accounting.requests) == (2 if rules is GROWING else 0)


async def test_a_change_of_another_rule_is_no_loop(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Who has written this title once, and hears that another rule writes it, does so again."""
    rules = (
        GROWING
        + """
- { id: urgent, when: task.reopened, then: [{ update_task: { title: "AGAIN" } }] }
"""
    )
    async with corridor(folder, pool, clock, rules) as taskbell:
        kickserv, visit = taskbell.sandbox.kickserv, taskbell.visit()
        number = str(visit["id"])
        kickserv.finish(number)
        await taskbell.begin()
        for change in ({"name": "a"}, {"completed_on": None}):
            await taskbell.webhook(kickserv.change(number, **change))
            for _ in range(4):
                await taskbell.deliver()
                clock.advance(timedelta(seconds=10))
                await taskbell.webhook(visit)
                await taskbell.look_up()
        assert visit["name"] == "x AGAIN"


async def test_a_task_that_a_rule_made_is_nothing_new_to_it(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A rule that asks to hear of it hears of what it made itself no more than of its changes."""
    rules = """
- { id: more, when: task.created, own_writes: true,
    then: [{ notify: accounting }, { create_task: { title: "More", type: invoice } }] }
"""
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit())
        for _ in range(3):
            await taskbell.deliver()
            clock.advance(timedelta(seconds=10))
            await taskbell.look_up()
        assert await taskbell.states() == ["sent", "sent", "skipped", "skipped"]
        assert len(taskbell.accounting.requests) == 1


UNDOING = """
- { id: not-yet, when: task.completed, if: task.title == "Keep", then: [{ reopen_task: true }] }
- { id: away, when: task.completed, if: task.title == "Drop", then: [{ delete_task: true }] }
- { id: again, when: task.reopened, then: [{ notify: accounting }] }
- { id: gone, when: task.deleted, then: [{ notify: accounting }] }
- { id: watch, when: task.deleted, own_writes: true, then: [{ notify: accounting }] }
"""


async def test_what_is_reopened_or_deleted_by_a_rule_is_ours(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Only a rule that asks for it hears; an answer that is lost is looked for."""
    async with corridor(folder, pool, clock, UNDOING) as taskbell:
        keep, drop = (taskbell.visit(name=name) for name in ("Keep", "Drop"))
        await taskbell.begin()
        kickserv = taskbell.sandbox.kickserv
        kickserv.faults.set(Fault(FaultKind.RESET_AFTER, method="DELETE"))
        for visit in (keep, drop):
            await taskbell.webhook(kickserv.finish(str(visit["id"])))
        await taskbell.deliver()
        clock.advance(timedelta(minutes=6))
        await taskbell.deliver()
        await taskbell.look_up()
        assert await taskbell.states("not-yet") == ["sent"]
        assert await taskbell.states("away") == ["sent"]
        assert await taskbell.events(keep["id"]) == ["completed by webhook", "reopened by write"]
        assert await taskbell.events(drop["id"]) == ["completed by webhook", "deleted by write"]
        assert [one["rule"] for one in await taskbell.deliveries()] == ["not-yet", "away", "watch"]
