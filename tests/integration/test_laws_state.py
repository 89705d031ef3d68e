"""Laws 4 to 7: one transition is one event, nothing moves back, and absence proves little."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.kickserv import Kickserv
from service.store import Pool, canaries, lookups
from tests.harness.corridor import Corridor, copy, corridor, kinds

RULES = """
- { id: made, when: task.created, then: [{ notify: accounting }] }
- { id: done, when: task.completed, then: [{ notify: accounting }] }
- { id: gone, when: task.deleted, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def test_law_4_six_inputs_are_one_event(taskbell: Corridor) -> None:
    """Webhook, the same again, a hint, a poll, a scan and a look by id: completed once."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(seconds=1))
    done = copy(taskbell.sandbox.kickserv.finish(str(visit["id"])))
    await taskbell.webhook(done)
    await taskbell.webhook(done)
    await taskbell.webhook({"event": "task.completed", "task": done})
    await taskbell.webhook({"id": visit["id"]})
    await taskbell.look_up()
    await taskbell.poll()
    await taskbell.poll(full=True)
    assert await taskbell.events(visit["id"]) == ["created by webhook", "completed by webhook"]
    assert len(await taskbell.deliveries("done")) == 1


async def test_law_4_a_repeated_webhook_causes_a_read(taskbell: Corridor) -> None:
    """A repeated webhook is not processed again, but the task is read by id."""
    visit = copy(taskbell.visit())
    await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(seconds=1))
    taskbell.sandbox.kickserv.finish(str(visit["id"]))
    await taskbell.webhook(visit)
    await taskbell.look_up()
    assert kinds(await taskbell.events(visit["id"])) == ["created", "completed"]


async def test_law_4_people_who_are_left_out_of_an_answer_are_not_gone(taskbell: Corridor) -> None:
    """Kickserv leaves out now and then who does a visit and for whom: nobody was reassigned."""
    visit = taskbell.visit()
    await taskbell.poll()
    for glue in (False, True):
        taskbell.clock.advance(timedelta(minutes=1))
        taskbell.sandbox.kickserv.set_quirks(glue=glue)
        taskbell.sandbox.kickserv.change(str(visit["id"]), description=f"with glue: {glue}")
        await taskbell.poll()
        known = await taskbell.snapshot(visit["id"])
        assert known is not None
        assert known["assignee"]["id"] == str(visit["employees"][0]["id"])
        assert known["customer"]["id"] == str(visit["customer"]["id"])
        assert known["description"] == f"with glue: {glue}"
    assert kinds(await taskbell.events(visit["id"])) == ["created", "changed", "changed"]


async def test_law_5_an_older_version_is_stale_however_late_it_comes(
    taskbell: Corridor,
) -> None:
    """A webhook that was long on its way says what was, not what is."""
    visit = taskbell.sandbox.plannr.make()
    late = copy(visit)
    await taskbell.poll("london")
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.webhook(taskbell.sandbox.plannr.finish(visit["uuid"]), "london")
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.webhook({"event": "task.created", "data": late}, "london")
    await taskbell.look_up("london")
    assert kinds(await taskbell.events(visit["uuid"])) == ["created", "completed"]


async def test_law_5_a_page_that_was_asked_for_before_the_webhook_is_stale(
    taskbell: Corridor,
) -> None:
    """The slow page shows the visit as it was; what the webhook said since stands."""
    visit = taskbell.visit()
    await taskbell.poll()
    pages = [page async for page in taskbell.sources["field"].scan()]
    taskbell.clock.advance(timedelta(seconds=5))
    done = taskbell.sandbox.kickserv.finish(str(visit["id"]))
    await taskbell.webhook(done)
    for page in pages:
        await taskbell.worker.polls["field"]._take(page)
    known = await taskbell.snapshot(visit["id"])
    assert known is not None
    assert known["done"]
    assert kinds(await taskbell.events(visit["id"])) == ["created", "completed"]


async def test_law_5_a_webhook_from_before_a_deletion_restores_nothing(
    taskbell: Corridor,
) -> None:
    """A change made just before the deletion is read after it: the task stays deleted."""
    visit = taskbell.visit()
    await taskbell.poll()
    taskbell.clock.advance(timedelta(seconds=1))
    late = copy(taskbell.sandbox.kickserv.change(str(visit["id"]), name="one more word"))
    await taskbell.receive(late)
    taskbell.clock.advance(timedelta(seconds=1))
    taskbell.sandbox.kickserv.delete(str(visit["id"]))
    await taskbell.poll(full=True)
    await taskbell.look_up()
    await taskbell.ingest()
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.webhook({"event": "task.updated", "data": late})
    await taskbell.look_up()
    assert kinds(await taskbell.events(visit["id"])) == ["created", "deleted"]


@pytest.mark.parametrize("was_known", [False, True])
async def test_law_5_an_answer_that_crosses_a_later_one_restores_nothing(
    taskbell: Corridor, *, was_known: bool
) -> None:
    """A visit is read by id, is deleted, is read again: then the first answer comes."""
    visit = taskbell.visit()
    if was_known:
        await taskbell.poll()
        taskbell.sandbox.kickserv.delete(str(visit["id"]))
        await taskbell.webhook({"id": visit["id"], "number": 1})
        await taskbell.look_up()
        taskbell.sandbox.kickserv.tasks[str(visit["id"])] = visit
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.webhook({"id": visit["id"], "number": 2})
    reader, now = taskbell.worker.lookups["field"], taskbell.clock.now()
    [slow] = await lookups.claim(taskbell.pool, "field", uuid4(), now, 1)
    answer = await reader._attempt(slow)
    assert answer is not None
    assert answer.raw is not None
    taskbell.clock.advance(timedelta(seconds=1))
    taskbell.sandbox.kickserv.delete(str(visit["id"]))
    await taskbell.webhook({"id": visit["id"], "number": 3})
    await taskbell.look_up()
    await reader._take(slow, answer)
    told = kinds(await taskbell.events(visit["id"]))
    assert told == (["created", "deleted"] if was_known else [])


async def test_law_5_what_waited_through_a_scan_that_does_not_cover_it_is_not_lost(
    taskbell: Corridor,
) -> None:
    """A far-off visit is on no list: its webhook counts, although a scan was made since."""
    visit = taskbell.visit(scheduled_at=taskbell.clock.now() + timedelta(days=200))
    del visit["updated_at"]
    await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(seconds=1))
    taskbell.sandbox.kickserv.finish(str(visit["id"]))
    del visit["updated_at"]
    await taskbell.receive(visit)
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.poll(full=True)
    await taskbell.ingest()
    await taskbell.look_up()
    assert kinds(await taskbell.events(visit["id"])) == ["created", "completed"]


@pytest.mark.parametrize(
    ("end", "told"), [(Kickserv.finish, "completed"), (Kickserv.delete, "deleted")]
)
async def test_law_5_an_answer_that_a_scan_overtakes_is_not_lost(
    taskbell: Corridor, end: Callable[[Kickserv, str], object], told: str
) -> None:
    """A far-off visit is on no list: what is read of it by id counts, though a scan was faster."""
    kickserv, start = taskbell.sandbox.kickserv, taskbell.clock.now() + timedelta(days=200)
    kickserv.set_quirks(stamped=False)
    taskbell.visit()
    number = str(taskbell.visit(scheduled_at=start)["id"])
    await taskbell.poll()
    await taskbell.webhook({"id": number, "number": 1})
    await taskbell.look_up()
    taskbell.clock.advance(timedelta(seconds=1))
    end(kickserv, number)
    await taskbell.webhook({"id": number, "number": 2})
    reader, now = taskbell.worker.lookups["field"], taskbell.clock.now()
    [slow] = await lookups.claim(taskbell.pool, "field", uuid4(), now, 1)
    answer = await reader._attempt(slow)
    assert answer is not None
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.poll(full=True)
    await reader._take(slow, answer)
    await taskbell.look_up()
    assert kinds(await taskbell.events(number)) == ["created", told]


async def test_law_5_a_delayed_webhook_does_not_outrank_a_read_in_progress(
    taskbell: Corridor,
) -> None:
    """A late webhook that agrees with the known state does not make it more recent."""
    visit = taskbell.visit()
    del visit["updated_at"]
    late = copy(visit)
    await taskbell.poll()
    taskbell.clock.advance(timedelta(seconds=1))
    del taskbell.sandbox.kickserv.finish(str(visit["id"]))["updated_at"]
    await taskbell.webhook({"id": visit["id"]})
    reader, now = taskbell.worker.lookups["field"], taskbell.clock.now()
    [asked] = await lookups.claim(taskbell.pool, "field", uuid4(), now, 1)
    look = await reader._read(asked)
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.webhook(late)
    await reader._take(asked, look)
    await taskbell.look_up()
    assert kinds(await taskbell.events(visit["id"])) == ["created", "completed"]


FAULTS = [
    Fault(FaultKind.FAILED, method="GET"),
    Fault(FaultKind.UNAUTHORIZED, method="GET"),
    Fault(FaultKind.PAGE, method="GET"),
    Fault(FaultKind.TRUNCATED, method="GET"),
    Fault(FaultKind.RESET_AFTER, method="GET"),
    Fault(FaultKind.THROTTLED, method="GET"),
    Fault(FaultKind.NOT_FOUND, method="GET"),
    Fault(FaultKind.EMPTY, method="GET"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
async def test_law_6_a_scan_that_went_wrong_deletes_nothing(
    fault: Fault, taskbell: Corridor
) -> None:
    """Half the list, no list, somebody else's page: the visits stay, and go on being watched."""
    visits = [taskbell.visit() for _ in range(30)]
    await taskbell.poll()
    await taskbell.tick(minutes=5)
    taskbell.sandbox.kickserv.faults.set(
        Fault(fault.kind, times=1, method="GET", path="/tasks.json")
    )
    await taskbell.poll(full=True)
    await taskbell.look_up()
    assert "deleted" not in kinds(await taskbell.events())
    for visit in visits:
        assert await taskbell.snapshot(visit["id"])


async def test_an_unreadable_task_keeps_no_other_from_being_seen(taskbell: Corridor) -> None:
    """One date that is none: the rest of the list is taken, and when it is put right, it too."""
    odd, plain = taskbell.visit(ends_at="soon"), taskbell.visit()
    await taskbell.poll(full=True)
    assert await taskbell.events(plain["id"]) == ["created by poll"]
    assert await taskbell.pool.fetchval("SELECT error FROM accounts WHERE name = 'field'") is None
    taskbell.sandbox.kickserv.change(str(odd["id"]), ends_at=None)
    await taskbell.poll()
    assert await taskbell.events(odd["id"]) == ["created by poll"]


async def test_law_6_an_empty_list_deletes_nothing(taskbell: Corridor) -> None:
    """Where 50 visits were the list is empty: each is asked for, and all are still there."""
    visits = [taskbell.visit() for _ in range(50)]
    await taskbell.poll()
    await taskbell.tick(minutes=5)
    taskbell.sandbox.kickserv.set_quirks(empty=True)
    await taskbell.poll(full=True)
    await taskbell.look_up()
    assert "deleted" not in kinds(await taskbell.events())
    for visit in visits:
        assert await taskbell.snapshot(visit["id"])


async def test_law_6_tasks_missing_from_a_shrunken_list_are_read_by_id(
    taskbell: Corridor,
) -> None:
    """Of 50 visits 20 are really gone: each is a deletion once a person has said so."""
    visits = [taskbell.visit() for _ in range(50)]
    await taskbell.poll()
    await taskbell.tick(minutes=5)
    for visit in visits[:20]:
        taskbell.sandbox.kickserv.delete(str(visit["id"]))
    await taskbell.poll(full=True)
    assert "deleted" not in kinds(await taskbell.events())
    await taskbell.look_up()
    assert "deleted" not in kinds(await taskbell.events())
    await canaries.believe(taskbell.pool, "field")
    await taskbell.look_up()
    assert kinds(await taskbell.events()).count("deleted") == 20


async def test_law_6_a_deletion_is_confirmed_by_id(taskbell: Corridor) -> None:
    """Missing from a whole list is a suspicion; only the system's answer about it is a deletion."""
    visits = [taskbell.visit() for _ in range(12)]
    gone = str(visits[0]["id"])
    await taskbell.poll()
    await taskbell.tick(minutes=5)
    taskbell.sandbox.kickserv.delete(gone)
    await taskbell.poll(full=True)
    assert await taskbell.snapshot(gone)

    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, method="GET"))
    await taskbell.look_up()
    assert await taskbell.snapshot(gone)

    await taskbell.tick(minutes=1)
    await taskbell.look_up()
    assert await taskbell.events(gone) == ["created by poll", "deleted by fetch"]
    await taskbell.poll(full=True)
    await taskbell.webhook({"event": "task.deleted", "data": {"id": gone}})
    await taskbell.look_up()
    assert await taskbell.events(gone) == ["created by poll", "deleted by fetch"]


async def test_law_6_moved_out_of_the_window_is_not_deleted(taskbell: Corridor) -> None:
    """A visit that is put off for a year is no longer listed: it was rescheduled."""
    visit = taskbell.visit()
    await taskbell.poll()
    await taskbell.tick(minutes=5)
    far = taskbell.clock.now() + timedelta(days=365)
    taskbell.sandbox.kickserv.change(str(visit["id"]), scheduled_at=far, ends_at=far)
    await taskbell.poll(full=True)
    await taskbell.look_up()
    await taskbell.tick(hours=2)
    asked = taskbell.sandbox.kickserv.record.requests
    asked.clear()
    await taskbell.poll(full=True)
    await taskbell.look_up()
    assert kinds(await taskbell.events(visit["id"])) == ["created", "rescheduled"]
    assert not [request for request in asked if str(visit["id"]) in request]


async def test_law_6_hidden_from_the_list_but_readable_stays(taskbell: Corridor) -> None:
    """What the list keeps back and the system shows by id is there, scan after scan."""
    visit = taskbell.visit(scheduled_at=taskbell.clock.now() + timedelta(days=3))
    await taskbell.poll()
    taskbell.sandbox.kickserv.hidden.add(str(visit["id"]))
    for _ in range(3):
        await taskbell.tick(hours=1)
        await taskbell.poll(full=True)
        await taskbell.look_up()
    assert kinds(await taskbell.events(visit["id"])) == ["created"]
    assert await taskbell.snapshot(visit["id"])


async def test_law_7_the_first_sync_is_silent(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """What was there before Taskbell came is no news: not created, not completed, not overdue."""
    async with corridor(folder, pool, clock, RULES) as fresh:
        kickserv, plannr = fresh.sandbox.kickserv, fresh.sandbox.plannr
        past = clock.now() - timedelta(days=2)
        fresh.visit(scheduled_at=past, ends_at=past)
        kickserv.finish(str(fresh.visit()["id"]))
        plannr.make(due=past)
        soon = fresh.visit(
            scheduled_at=clock.now() + timedelta(hours=1), ends_at=clock.now() + timedelta(hours=2)
        )
        await fresh.begin()
        await fresh.tick(minutes=1)
        assert await fresh.events() == []
        assert await fresh.deliveries() == []

        await fresh.tick(hours=3)
        assert await fresh.events() == ["overdue by clock"]
        assert await fresh.events(soon["id"]) == ["overdue by clock"]


async def test_law_7_a_first_sync_that_broke_off_is_silent_too(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The second attempt at the baseline is as silent as the first, whatever that one had read."""
    async with corridor(folder, pool, clock, RULES) as fresh:
        for _ in range(150):
            fresh.visit()
        fresh.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, path="/tasks.json"))
        await fresh.poll()
        await fresh.begin()
        assert await fresh.events() == []
        assert await pool.fetchval("SELECT count(*) FROM tasks") == 150


async def test_law_7_a_new_alarm_does_not_fire_for_the_past(taskbell: Corridor) -> None:
    """What the old rules still owe is rung, the new rule's past is not, its future is."""
    clock = taskbell.clock
    past, owed = taskbell.visit(), taskbell.visit()
    future = taskbell.visit(scheduled_at=clock.now() + timedelta(days=9))
    for visit, hours in ((past, 4.5), (owed, 10), (future, 200)):
        end = clock.now() + timedelta(hours=hours)
        taskbell.sandbox.kickserv.change(str(visit["id"]), scheduled_at=end, ends_at=end)
    await taskbell.poll()
    await taskbell.tick(hours=5)
    assert await taskbell.events(past["id"]) == ["created by poll", "overdue by clock"]

    clock.advance(timedelta(hours=6))  # the worker is away while the second becomes overdue
    await taskbell.restart(
        RULES + "- { id: later, when: { task.overdue: 1h }, then: [{ notify: accounting }] }\n"
    )
    await taskbell.tick()
    assert await taskbell.events(owed["id"]) == ["created by poll", "overdue by clock"]
    await taskbell.tick(hours=48)
    assert await taskbell.deliveries("later") == []
    await taskbell.tick(days=8)
    assert [one["task"] for one in await taskbell.deliveries("later")] == [str(future["id"])]
    assert len(await taskbell.deliveries("late")) == 3


async def test_tags_that_a_system_did_not_show_are_not_gone(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Rolodex may leave them out though they were asked for, in lists or by id."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        rolodex = taskbell.sandbox.rolodex
        made = rolodex.make(tags=["tag_102"])
        await taskbell.begin()
        for number, tags in enumerate(("lists", "always", "never", "always")):
            rolodex.set_quirks(tags=tags)
            await taskbell.poll("sales", full=True)
            await taskbell.webhook({"id": made["id"], "number": number}, "sales")
            await taskbell.look_up("sales")
        assert await taskbell.events(made["id"]) == []
        rolodex.change(made["id"], tags=[])
        await taskbell.poll("sales")
        assert await taskbell.events(made["id"]) == ["changed by poll"]


async def test_tags_that_a_webhook_does_not_show_are_not_gone(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A whole task with null for its tags changes the rest of it and leaves them alone."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        rolodex = taskbell.sandbox.rolodex
        made = rolodex.make(tags=["tag_102"])
        await taskbell.begin()
        tags = (await taskbell.snapshot(made["id"]) or {})["tags"]
        renamed = rolodex.change(made["id"], body="Call again")
        await taskbell.webhook({**renamed, "tags": None}, "sales")
        assert await taskbell.events(made["id"]) == ["changed by webhook"]
        known = await taskbell.snapshot(made["id"]) or {}
        assert (known["title"], known["tags"]) == ("Call again", tags)


async def test_a_task_that_a_drifting_list_skipped_is_not_gone(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Rows shift under every page, and what no page had is asked for by its id."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        rolodex = taskbell.sandbox.rolodex
        made = [rolodex.make()["id"] for _ in range(120)]
        await taskbell.begin()
        rolodex.set_quirks(shift=1)
        await taskbell.poll("sales", full=True)
        await taskbell.look_up("sales")
        assert await taskbell.events() == []
        assert await taskbell.snapshot(made[-1]) is not None
