"""Polls under a lease, what a complete list proves, and what is told of those that go wrong."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service import metrics
from service.clock import VirtualClock
from service.domain.model import Cause, Kind
from service.maintenance import prune
from service.sandbox import faults
from service.sandbox.faults import Fault
from service.settings import read_settings
from service.sources import Page
from service.sources.plannr import RECENT_PER_PAGE
from service.store import Pool, accounts
from service.store.lookups import PostgresLookups
from service.store.views import api_lists, listing
from tests.harness.corridor import Corridor, corridor
from tests.harness.history import know, record
from tests.harness.tasks import task
from tests.harness.waiting import eventually
from workers import retry, wiring
from workers.poll import LEASE

RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin("field")
        yield running


async def shown(taskbell: Corridor) -> dict[str, Any]:
    """The account as the API and the page show it."""
    [account] = await api_lists.read_accounts(taskbell.pool, taskbell.clock.now(), ["field"])
    return account


async def columns(taskbell: Corridor) -> dict[str, Any]:
    """The account's row."""
    [row] = await taskbell.pool.fetch("SELECT * FROM accounts WHERE name = 'field'")
    return dict(row)


async def test_a_poll_that_lost_its_lease_writes_nothing_down(taskbell: Corridor) -> None:
    """It slept too long, another one began: neither its end nor its failure is heard."""
    taskbell.visit()
    late = await taskbell.claim_poll(full=True)
    taskbell.clock.advance(LEASE * 2)
    current = await taskbell.claim_poll()
    taskbell.sandbox.kickserv.set_quirks(empty=True)
    before = await columns(taskbell)
    async for _ in taskbell.worker.polls["field"].run(late):
        pass
    await taskbell.worker.polls["field"].crash(late, RuntimeError())
    await accounts.release(taskbell.pool, late)
    assert not await taskbell.worker.polls["field"].keep_lease(late)
    assert await columns(taskbell) == before
    assert await taskbell.pool.fetchval("SELECT count(*) FROM lookups") == 0
    assert await taskbell.worker.polls["field"].keep_lease(current)


async def test_a_poll_that_died_between_two_pages_is_made_good_by_the_next(
    taskbell: Corridor,
) -> None:
    """What its list had behind the page that it had read, however long ago that changed."""
    await taskbell.begin("london")
    plannr = taskbell.sandbox.plannr
    made = [plannr.make()["uuid"] for _ in range(RECENT_PER_PAGE * 2)]
    taskbell.clock.advance(timedelta(minutes=5))
    dying = taskbell.worker.polls["london"].run(await taskbell.claim_poll("london"))
    await anext(dying)
    await dying.aclose()  # type: ignore[attr-defined]
    assert len(await taskbell.events()) == RECENT_PER_PAGE

    taskbell.clock.advance(timedelta(minutes=5))
    await taskbell.poll("london")
    assert len(await taskbell.events()) == len(made)


async def test_an_account_is_polled_again_when_it_was_given_back(taskbell: Corridor) -> None:
    """Its holder gives it back at once; nobody waits for the lease to run out."""
    held = await taskbell.claim_poll()
    await taskbell.pool.execute("UPDATE accounts SET next_poll_at = $1", taskbell.clock.now())
    now = taskbell.clock.now()
    assert await accounts.claim_due(taskbell.pool, ["field"], now, LEASE) == []
    await accounts.release(taskbell.pool, held)
    assert len(await accounts.claim_due(taskbell.pool, ["field"], now, LEASE)) == 1


async def test_to_ask_for_everything_does_not_forget_what_was_confirmed(
    taskbell: Corridor,
) -> None:
    """A page from before the last scan stays stale while another scan is wanted."""
    visit = taskbell.visit()
    del visit["updated_at"]
    await taskbell.poll()
    pages = [page async for page in taskbell.sources["field"].scan()]
    taskbell.clock.advance(timedelta(minutes=1))
    done = taskbell.sandbox.kickserv.finish(str(visit["id"]))
    del done["updated_at"]
    await taskbell.poll(full=True)
    await accounts.poll_now(taskbell.pool, "field", taskbell.clock.now())
    for page in pages:
        await taskbell.worker.polls["field"]._take(page)
    known = await taskbell.snapshot(visit["id"])
    assert known is not None
    assert known["done"]
    assert (await columns(taskbell))["scanned_at"] == taskbell.clock.now()


async def test_who_asks_for_everything_during_a_scan_gets_another(taskbell: Corridor) -> None:
    """What that scan had read already when it was asked for may have changed since."""
    state = await taskbell.claim_poll(full=True)
    pages = taskbell.worker.polls["field"].run(state)
    taskbell.visit()
    await anext(pages)
    taskbell.clock.advance(timedelta(seconds=1))
    asked_at = taskbell.clock.now()
    await accounts.poll_now(taskbell.pool, "field", asked_at)
    async for _ in pages:
        pass
    row = await columns(taskbell)
    assert (row["scan_asked_at"], row["next_poll_at"]) == (asked_at, asked_at)
    await taskbell.poll()
    row = await columns(taskbell)
    assert (row["scan_asked_at"], row["scanned_at"]) == (None, asked_at)


async def test_a_poll_that_crashes_shows_at_the_account(
    taskbell: Corridor, database_url: str
) -> None:
    """A defect of our own: the account is failing, and says where to look."""

    def broken() -> AsyncIterator[Page]:
        raise ZeroDivisionError

    settings = read_settings({"DATABASE_URL": database_url})
    taskbell.visit()
    async with wiring.open_worker(settings, taskbell.config, taskbell.clock) as running:
        running._polls["field"]._source.scan = broken  # type: ignore[method-assign]
        await accounts.poll_now(taskbell.pool, "field", taskbell.clock.now())
        await running.tick()
        await asyncio.gather(*running._polling)

    async def is_failing() -> bool:
        return bool((await shown(taskbell))["state"] == "failing")

    await eventually(is_failing)
    account = await shown(taskbell)
    assert account["error"] == "internal error: ZeroDivisionError; the worker's log has the details"
    assert account["next_poll_at"] > taskbell.clock.now()


async def test_rows_without_an_id_show_at_the_account(taskbell: Corridor) -> None:
    """They cannot be watched: the account says how many there are, until they are gone."""
    rows = [taskbell.visit() for _ in range(4)]
    ids = [row["id"] for row in rows[:3]]
    for row in rows[:3]:
        row["id"] = None
    await taskbell.poll(full=True)
    account = await shown(taskbell)
    assert account["state"] == "ok"
    assert account["unread"] == 3
    assert account["error"] == (
        "3 values could not be read, for example a task without an id in the list, which Taskbell"
        " cannot watch. Taskbell keeps the earlier values."
    )
    await taskbell.poll()
    assert (await shown(taskbell))["error"] == account["error"]
    for row, number in zip(rows, ids, strict=False):
        row["id"] = number
    await taskbell.poll(full=True)
    assert (await shown(taskbell))["error"] is None


async def test_only_what_is_committed_is_counted(taskbell: Corridor) -> None:
    """A transaction that is rolled back made no events, however far it came."""
    before = count()
    look = taskbell.visit()
    await taskbell.receive(look)
    await taskbell.pool.execute("ALTER TABLE receipts ADD CONSTRAINT no CHECK (state <> 'done')")
    with pytest.raises(Exception, match="no"):
        await taskbell.ingest()
    assert count() == before
    await taskbell.pool.execute("ALTER TABLE receipts DROP CONSTRAINT no")
    await taskbell.ingest()
    assert count() == before + 1


def count() -> float:
    return float(metrics.events.labels("field", "created")._value.get())


async def test_a_hint_to_a_task_that_is_not_there_says_so(taskbell: Corridor) -> None:
    """Whoever asks why nothing followed finds the answer at each webhook that asked."""
    first = await taskbell.receive({"id": 4711})
    second = await taskbell.receive([{"id": 4711}, {"id": 4712}])
    other = await taskbell.receive({"id": taskbell.visit()["id"]})
    await taskbell.ingest()
    for pause in (timedelta(0), *retry.ANNOUNCED.pauses):
        taskbell.clock.advance(pause)
        await taskbell.look_up()
    page = await listing.read_page(taskbell.pool, api_lists.RECEIPTS, {}, 10)
    reasons = {row["id"]: row["reason"] for row in page.rows}
    asked = "field was asked 6 times and has no task"
    assert reasons[first] == f"{asked} 4711"
    assert {*reasons[second].split("; ")} == {
        f"{asked} 4711",
        f"{asked} 4712",
    }
    assert reasons[other] is None


async def test_a_task_that_is_hinted_at_for_ever_remembers_the_last_hints(
    taskbell: Corridor,
) -> None:
    """Each webhook once, and no more than a hundred, however long the system is away."""
    async with taskbell.pool.acquire() as connection:
        for number in [*range(150), 149]:
            now = taskbell.clock.now()
            await PostgresLookups(connection).ask([("field", "1")], Cause.WEBHOOK, now, [number])
    kept = await taskbell.pool.fetchval("SELECT receipts FROM lookups")
    assert sorted(kept) == list(range(50, 150))


async def test_a_hint_that_the_system_rejects_is_not_asked_for_ever(taskbell: Corridor) -> None:
    """After an hour it is given up, and the webhook says why; others get its calls."""
    number = await taskbell.receive({"id": "no-such-kind-of-id"})
    await taskbell.ingest()
    for _ in range(30):
        taskbell.sandbox.kickserv.faults.set(Fault(faults.FaultKind.REJECTED, method="GET"))
        await taskbell.look_up()
        taskbell.clock.advance(timedelta(minutes=10))
    assert await taskbell.pool.fetchval("SELECT count(*) FROM lookups") == 0
    row = await listing.read_one(taskbell.pool, api_lists.RECEIPTS, number)
    assert row is not None
    assert row["reason"].startswith("given up: field: GET ")
    assert "was rejected (422)" in row["reason"]


@pytest.mark.parametrize("kind", [faults.FaultKind.UNAUTHORIZED, faults.FaultKind.FAILED])
async def test_a_hint_to_what_may_not_be_seen_is_not_asked_for_ever(
    taskbell: Corridor, kind: faults.FaultKind
) -> None:
    """It is given up while the system shows others; while it shows none, that is no fault of it."""
    hidden, _ = taskbell.visit(), taskbell.visit()
    await taskbell.poll()
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.poll(full=True)
    kickserv = taskbell.sandbox.kickserv
    for path, left in (("/tasks/", 1), (f"/tasks/{hidden['id']}", 0)):
        await taskbell.webhook({"id": hidden["id"], "number": left})
        kickserv.faults.set(Fault(kind, times=1000, path=path))
        for _ in range(20):
            taskbell.clock.advance(timedelta(minutes=15))
            await taskbell.poll()
            await taskbell.look_up()
        assert await taskbell.pool.fetchval("SELECT count(*) FROM lookups") == left
        kickserv.faults.clear()


async def test_a_full_scan_asks_for_whatever_its_list_lacks(taskbell: Corridor) -> None:
    """It reads the whole account: also what begins far ahead, or has no start, is missing there."""
    now = taskbell.clock.now()
    away, inside, nowhen = (
        taskbell.visit(scheduled_at=now + timedelta(days=200)),
        taskbell.visit(),
        taskbell.visit(scheduled_at=None),
    )
    for visit in (away, inside, nowhen):
        await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(minutes=1))
    taskbell.sandbox.kickserv.set_quirks(empty=True)
    await taskbell.poll(full=True)
    asked = await taskbell.pool.fetch("SELECT task, cause FROM lookups ORDER BY task")
    assert [tuple(row) for row in asked] == [
        (str(one["id"]), "fetch") for one in (away, inside, nowhen)
    ]


async def test_a_list_that_comes_in_one_piece_is_taken_up_in_several(taskbell: Corridor) -> None:
    """A system that ignores paging sends all at once: no transaction has more than a thousand."""
    for _ in range(2500):
        taskbell.visit()
    taskbell.sandbox.kickserv.set_quirks(unpaged=True)
    await taskbell.poll(full=True)
    rows = await taskbell.pool.fetch("SELECT count(*) FROM tasks GROUP BY xmin::text")
    assert sorted(count for (count,) in rows) == [500, 1000, 1000]
    assert (await taskbell.events()) == ["created by poll"] * 2500


async def test_what_is_old_is_forgotten_by_the_settings(taskbell: Corridor) -> None:
    """A deleted task after its time; one that is there stays, however old."""
    old = taskbell.clock.now()
    await know(taskbell.pool, task("gone"), task("other"), at=old, gone=True)
    await know(taskbell.pool, task("there"), at=old)
    await record(taskbell.pool, task("there"), Kind.CREATED, at=old)
    settings = read_settings(
        {
            "TASKBELL_KEEP_DELETED_TASKS": "10 days",
            "TASKBELL_KEEP_EVENTS": "20 days",
            "TASKBELL_KEEP_DELIVERIES": "20 days",
        }
    )
    for days, tasks, events in ((9, 3, 1), (11, 1, 1), (21, 1, 0)):
        await prune.prune(taskbell.pool, settings, old + timedelta(days=days))
        assert await taskbell.pool.fetchval("SELECT count(*) FROM tasks") == tasks
        assert await taskbell.pool.fetchval("SELECT count(*) FROM task_words") == tasks
        assert await taskbell.pool.fetchval("SELECT count(*) FROM events") == events
