"""Webhooks that tell of very many tasks: they cost few calls, and keep nobody waiting."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.sandbox.system import Raw
from service.store import Pool
from tests.harness.corridor import Corridor, begun, kinds
from tests.harness.stalls import LONGEST, watched
from tests.integration.test_large_bodies import BODIES

RULES = """
- { id: new, when: task.created, then: [{ notify: "slack:#office", text: "{{ task.title }}" }] }
- { id: gone, when: task.deleted, then: [{ notify: accounting }] }
- { id: leaving, when: { signal: leaving }, then: [{ notify: accounting }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def standing(taskbell: Corridor, receipt: int) -> tuple[str, str | None]:
    [row] = await taskbell.pool.fetch("SELECT state, reason FROM receipts WHERE id = $1", receipt)
    return row["state"], row["reason"]


async def waiting(taskbell: Corridor) -> int:
    """How many tasks are to be read by their ids."""
    count: int = await taskbell.pool.fetchval("SELECT count(*) FROM lookups")
    return count


async def test_very_many_ids_are_one_reading_of_the_account(taskbell: Corridor) -> None:
    """62,000 ids would be hours of calls; what is new among them is found, and told."""
    made = [taskbell.visit()["id"] for _ in range(3)]
    receipt = await taskbell.receive(
        [{"id": task} for task in (*made, *range(10**6, 1062 * 10**3))]
    )
    await taskbell.ingest()
    assert await waiting(taskbell) == 0
    assert await standing(taskbell, receipt) == (
        "done",
        "it covers more than 1000 tasks: Taskbell reads the whole account instead",
    )
    await taskbell.poll_what_is_due()
    assert await taskbell.events() == ["created by poll"] * 3


async def test_some_hundred_ids_are_one_reading_too(taskbell: Corridor) -> None:
    """Of two hundred each is read, of one more none, but all of the account."""
    for count, asked, says in (
        (200, 200, None),
        (201, 0, "more than 200 tasks by their ids only: Taskbell reads the whole account instead"),
    ):
        await taskbell.pool.execute("TRUNCATE lookups")
        receipt = await taskbell.receive([{"id": 10**6 + one} for one in range(count)])
        await taskbell.ingest()
        assert await waiting(taskbell) == asked
        state, reason = await standing(taskbell, receipt)
        assert (state, reason) == ("done", says and f"it covers {says}")


async def test_deletions_in_bulk_are_believed_once_the_system_shows_them(
    taskbell: Corridor,
) -> None:
    """They are announced by nothing but ids, and the reading finds them."""
    made = [str(taskbell.visit()["id"]) for _ in range(30)]
    await taskbell.poll(full=True)
    for task in made[:3]:
        taskbell.sandbox.kickserv.delete(task)
    taskbell.clock.advance(timedelta(minutes=1))
    ids = [*made[:3], *(str(10**6 + one) for one in range(300))]
    await taskbell.webhook([{"event": "task.deleted", "data": {"id": task}} for task in ids])
    await taskbell.poll_what_is_due()
    await taskbell.look_up()
    assert kinds(await taskbell.events()).count("deleted") == 3


async def test_whole_tasks_in_bulk_are_one_reading_too(taskbell: Corridor) -> None:
    """Thousands of tasks that a stranger's program pushes are no message; those there are, are."""
    shown = taskbell.visit()
    pushed = [{**shown, "id": 10**6 + one} for one in range(1000)]
    receipt = await taskbell.receive([shown, *pushed])
    await taskbell.ingest()
    assert (await standing(taskbell, receipt))[0] == "done"
    assert await taskbell.events() == []
    await taskbell.poll_what_is_due()
    assert await taskbell.events() == ["created by poll"]


async def test_a_thousand_whole_tasks_are_taken_and_their_messages_held(
    taskbell: Corridor,
) -> None:
    """That is what one webhook may tell; the storm guard asks a person about what comes of it."""
    await taskbell.receive([as_told(taskbell.visit()) for _ in range(1000)])
    async with watched() as stalls:
        await taskbell.ingest()
    assert stalls.longest < LONGEST
    assert await taskbell.events() == ["created by webhook"] * 1000
    await taskbell.deliver()
    assert taskbell.posts == []
    assert set(await taskbell.states()) == {"held"}


async def test_signals_in_bulk_are_set_aside(taskbell: Corridor) -> None:
    """No reading of the account shows them: their sender is told to send fewer at once."""
    receipt = await taskbell.receive([{"signal": "leaving", "task": one} for one in range(2000)])
    await taskbell.ingest()
    says = "it covers more than 1000 signals; send fewer at once"
    assert await standing(taskbell, receipt) == ("poison", says)
    receipt = await taskbell.receive([{"signal": "leaving", "task": one} for one in range(300)])
    await taskbell.ingest()
    says = "it covers more than 200 signals; send fewer at once"
    assert await standing(taskbell, receipt) == ("poison", says)
    assert await waiting(taskbell) == 0


async def test_a_later_webhook_waits_for_few_of_an_earlier_one(taskbell: Corridor) -> None:
    """Two hundred ids came a few seconds before: the one that comes now is among the next."""
    await taskbell.webhook([{"id": 10**6 + one} for one in range(200)])
    taskbell.clock.advance(timedelta(seconds=3))
    late = taskbell.visit()["id"]
    await taskbell.webhook({"id": late})
    for _ in range(2):
        await taskbell.worker.lookups["field"].batch()
    asked = taskbell.sandbox.kickserv.record.requests
    assert any(f"/{late}." in one for one in asked)
    await taskbell.look_up()
    assert sum("/100" in one for one in asked) == 200, "the others are read as well"


async def test_many_rows_that_say_nothing_make_a_short_reason(taskbell: Corridor) -> None:
    """Of hundreds of reasons the first are told."""
    rows: list[dict[str, Any]] = [{"name": "x" * one} for one in range(500)]
    receipt = await taskbell.receive([{"id": 1}, *rows])
    await taskbell.ingest()
    _, reason = await standing(taskbell, receipt)
    assert reason is not None
    assert reason.startswith("500 of its tasks could not be read: ")
    assert len(reason) < 500


@pytest.mark.parametrize("kind", BODIES)
async def test_no_body_keeps_the_workers_other_work_waiting(taskbell: Corridor, kind: str) -> None:
    """A megabyte that the door let in takes less than 50 ms of the loop in a row."""
    await taskbell.receive(BODIES[kind])
    async with watched() as stalls:
        await taskbell.ingest()
    assert await taskbell.pool.fetchval("SELECT count(*) FROM receipts WHERE state <> 'pending'")
    assert stalls.longest < LONGEST


def as_told(visit: Raw) -> Raw:
    """A visit as a webhook tells of it."""
    return {name: value for name, value in visit.items() if name != "updated_at"}
