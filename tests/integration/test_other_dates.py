"""An alarm belongs to one date of its task: what becomes of its message when another one moves."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, begun

RULES = """
- { id: late, when: { after: task.start, by: 1h }, hours: office, then: [{ notify: accounting }] }
- { id: long, when: { after: task.start, by: 1h }, for: 2h, if: "!task.done",
    then: [{ notify: accounting }] }
- { id: eve, when: { before: task.start, by: 1 day, at: "16:00" }, then: [{ notify: accounting }] }
- { id: other, when: { task.changed: [title] }, muted_by: { rule: eve, same: task.project.id },
    then: [{ notify: accounting }] }
"""
HOUR = timedelta(hours=1)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def begun_at_night(taskbell: Corridor) -> str:
    """A visit that began at eleven at night, of which it is said an hour later; its id."""
    start = taskbell.clock.now() + 16 * HOUR
    visit = taskbell.visit(scheduled_at=start, ends_at=start + 8 * HOUR)
    await taskbell.webhook(visit)
    await taskbell.tick(hours=17)
    return str(visit["id"])


async def change(taskbell: Corridor, visit: str, **fields: object) -> None:
    await taskbell.webhook(taskbell.sandbox.kickserv.change(visit, **fields))


async def test_a_held_message_outlives_the_move_of_another_date(taskbell: Corridor) -> None:
    """The visit will end later, and began when it did: nobody else would ever say so."""
    visit = await begun_at_night(taskbell)
    assert await taskbell.states("late") == ["held"]
    await change(taskbell, visit, ends_at=taskbell.clock.now() + 20 * HOUR)
    await taskbell.tick(hours=60)
    await taskbell.deliver()
    assert await taskbell.states("late") == ["sent"]


async def test_a_held_message_ends_with_its_own_date(taskbell: Corridor) -> None:
    """It begins tomorrow after all."""
    visit = await begun_at_night(taskbell)
    await change(taskbell, visit, scheduled_at=taskbell.clock.now() + 20 * HOUR)
    [late] = await taskbell.deliveries("late")
    assert (late["state"], late["reason"]) == ("cancelled", "cancelled: the task was rescheduled")


async def test_a_wait_outlives_the_move_of_another_date(taskbell: Corridor) -> None:
    """What has to last two hours lasts, although the visit is made longer in between."""
    visit = await begun_at_night(taskbell)
    await change(taskbell, visit, ends_at=taskbell.clock.now() + 20 * HOUR)
    await taskbell.tick(hours=2)
    assert await taskbell.states("long") == ["planned"]


async def test_what_mutes_outlives_the_move_of_another_date(taskbell: Corridor) -> None:
    """What was said of the visit still holds; when it begins at another time it does not."""
    start = taskbell.clock.now() + 36 * HOUR
    project = {"job": {"id": 7, "name": "Roof"}, "job_id": 7}
    visit = taskbell.visit(scheduled_at=start, ends_at=start + HOUR, **project)
    other = taskbell.visit(scheduled_at=start + 300 * HOUR, **project)
    await taskbell.webhook([visit, other])
    await taskbell.tick(hours=12)
    await taskbell.deliver()
    assert await taskbell.states("eve") == ["sent"]
    await change(taskbell, str(visit["id"]), ends_at=start + 3 * HOUR)
    await change(taskbell, str(other["id"]), name="Gutters")
    await taskbell.deliver()
    assert await taskbell.states("other") == ["skipped"]
    taskbell.clock.advance(timedelta(minutes=1))
    await change(taskbell, str(visit["id"]), scheduled_at=start + 100 * HOUR)
    await change(taskbell, str(other["id"]), name="Windows")
    await taskbell.deliver()
    assert await taskbell.states("other") == ["skipped", "sent"]


async def test_what_has_been_updated_is_not_said_to_lie_still(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Held overnight; before the office opens somebody has worked on it: it is told of later."""
    rules = """
    - { id: still, when: { after: task.updated_at, by: 12h }, hours: office,
        then: [{ notify: accounting }] }
    """
    async with begun(folder, pool, clock, rules) as taskbell:
        visit = taskbell.visit(name="Gutters")
        await taskbell.webhook(visit)
        await taskbell.tick(hours=13)
        await change(taskbell, str(visit["id"]), name="Roof")
        await taskbell.tick(hours=11)
        assert await taskbell.states("still") == ["cancelled"]
        await taskbell.tick(hours=2)
        assert await taskbell.states("still") == ["cancelled", "held"]
