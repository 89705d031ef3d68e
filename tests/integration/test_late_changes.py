"""Plannr is read by the date of the last change; what comes with an older one is seen too."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.sandbox.plannr import ZONE
from service.sources.plannr import RECENT_PER_PAGE
from service.store import Pool
from tests.harness.corridor import Corridor, begun, kinds
from workers.poll import _MOST_BEYOND

RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


def make(taskbell: Corridor, count: int) -> list[str]:
    return [taskbell.sandbox.plannr.make()["uuid"] for _ in range(count)]


def stamp(taskbell: Corridor, ids: list[str], **ago: float) -> None:
    """Their last change, as the system tells it, was that long ago."""
    at = (taskbell.clock.now() - timedelta(**ago)).astimezone(ZONE).replace(microsecond=0)
    for task_id in ids:
        taskbell.sandbox.plannr.tasks[task_id]["updated_at"] = at.isoformat()


async def calls(taskbell: Corridor) -> int:
    """How many a poll takes."""
    requests = taskbell.sandbox.plannr.record.requests
    requests.clear()
    await taskbell.poll("london")
    return len(requests)


async def overlap(taskbell: Corridor) -> timedelta:
    found: timedelta = await taskbell.pool.fetchval(
        "SELECT overlap FROM accounts WHERE name = 'london'"
    )
    return found


async def test_many_changes_and_an_import_with_one_old_date_are_all_seen(
    taskbell: Corridor,
) -> None:
    """Eighty are done and 120 new, all dated six minutes ago: the next poll tells of each."""
    known = make(taskbell, 80)
    await taskbell.poll("london", full=True)
    await taskbell.tick(minutes=20)
    await taskbell.poll("london")
    before = len(await taskbell.events())

    for task_id in known:
        taskbell.sandbox.plannr.finish(task_id)
    imported = make(taskbell, 120)
    stamp(taskbell, known + imported, minutes=6)
    await taskbell.poll("london")
    told = kinds(await taskbell.events())[before:]
    assert sorted(set(told)) == ["completed", "created"]
    assert (told.count("completed"), told.count("created")) == (80, 120)
    await taskbell.tick(minutes=10)
    assert await calls(taskbell) <= 6
    await taskbell.tick(minutes=10)
    assert await calls(taskbell) == 1, "nothing has changed: one page is enough"


async def test_a_change_that_shows_late_is_found_behind_many_that_are_known(
    taskbell: Corridor,
) -> None:
    """Once one came five minutes late, polls look so far back, however much has changed since."""
    late, later, *others = make(taskbell, RECENT_PER_PAGE + 30)
    await taskbell.poll("london", full=True)
    await taskbell.tick(minutes=20)
    await taskbell.poll("london")

    taskbell.sandbox.plannr.finish(late)
    stamp(taskbell, [late], minutes=5)
    await taskbell.poll("london")
    assert kinds(await taskbell.events(late))[-1] == "completed"

    await taskbell.tick(minutes=20)
    for task_id in others:
        taskbell.sandbox.plannr.change(task_id, name="Changed")
    await taskbell.tick(minutes=3)
    await taskbell.poll("london")
    await taskbell.tick(minutes=1)
    taskbell.sandbox.plannr.finish(later)
    stamp(taskbell, [later], minutes=5)
    await taskbell.poll("london")
    assert kinds(await taskbell.events(later))[-1] == "completed"


async def test_how_far_back_polls_look_has_bounds(taskbell: Corridor) -> None:
    """A date of years ago is an import and no delay; full scans make it less again."""
    for ago, expected in ((40, 42), (59, 60), (100_000, 60)):
        stamp(taskbell, make(taskbell, 1), minutes=ago)
        await taskbell.poll("london")
        assert await overlap(taskbell) == timedelta(minutes=expected)
        await taskbell.tick(minutes=1)
    for minutes in (30.0, 15.0, 7.5, 3.75, 2.0, 2.0):
        await taskbell.poll("london", full=True)
        assert await overlap(taskbell) == timedelta(minutes=minutes)


async def test_what_goes_on_and_on_is_left_to_a_full_scan(taskbell: Corridor) -> None:
    """An import of thousands is read by large pages: at once after the poll that met it."""
    made = make(taskbell, RECENT_PER_PAGE * (_MOST_BEYOND + 10))
    stamp(taskbell, made, days=3)
    assert await calls(taskbell) == _MOST_BEYOND + 1
    await taskbell.tick(minutes=1)  # so that the lease is over
    await taskbell.poll_what_is_due()
    assert len(await taskbell.events()) == len(made)
