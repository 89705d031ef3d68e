"""`settle`: a rule waits until a task has been quiet, and looks at what is left of the change."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, corridor

FINISHED = """
- { id: quiet, when: task.completed, settle: { quiet: 2m, max: 5m },
    then: [{ notify: "slack:#office", text: "{{ task.title }} done" }] }
"""
RENAMED = FINISHED.replace("task.completed", "{ task.changed: [title] }")
OFF = FINISHED.replace("settle:", "enabled: false, settle:")
GONE = "- { id: other, when: task.created, then: [{ wait: 1s }] }"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that tells of finished visits, after its first sync."""
    async with corridor(folder, pool, clock, FINISHED) as running:
        await running.begin()
        yield running


async def visit(taskbell: Corridor) -> str:
    """A new visit in Kickserv that Taskbell has heard of; its id."""
    made = taskbell.visit()
    await taskbell.webhook(made)
    return str(made["id"])


async def edit(taskbell: Corridor, number: str, **change: str | None) -> None:
    """A minute later somebody changes the visit, and Taskbell hears of it."""
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.change(number, **change))


async def test_settling_survives_a_restart(taskbell: Corridor) -> None:
    """The two minutes of quiet are over while no worker runs: the next one speaks, once."""
    number = await visit(taskbell)
    await edit(taskbell, number, completed_on="2026-03-06")
    await taskbell.tick(seconds=90)
    await taskbell.deliver()
    assert taskbell.posts == []
    for _ in range(2):
        await taskbell.restart(FINISHED)
        await taskbell.tick(minutes=10)
    await taskbell.deliver()
    assert taskbell.posts == ["Clean the gutters done"]


async def test_two_days_of_quiet_are_two_days(taskbell: Corridor) -> None:
    """Another change begins them again, for as long as they take: a day is no limit to them."""
    await taskbell.restart(RENAMED.replace("{ quiet: 2m, max: 5m }", "2d"))
    number = await visit(taskbell)
    await edit(taskbell, number, name="Gutter")
    await taskbell.tick(hours=12)
    await edit(taskbell, number, name="Gutters")
    await taskbell.tick(hours=35)
    await taskbell.deliver()
    assert taskbell.posts == []
    await taskbell.tick(hours=2)
    await taskbell.deliver()
    assert taskbell.posts == ["Gutters done"]


async def test_nothing_left_of_a_change_is_a_decision(taskbell: Corridor) -> None:
    """Ticked off and on again within the two minutes: no message, and it says why."""
    number = await visit(taskbell)
    await edit(taskbell, number, completed_on="2026-03-06")
    await edit(taskbell, number, completed_on=None)
    await taskbell.tick(minutes=10)
    assert await taskbell.deliveries() == []
    assert await taskbell.reasons() == ["the change was undone before the quiet period ended"]


@pytest.mark.parametrize("rules", [GONE, OFF])
async def test_a_rule_that_is_gone_when_it_is_quiet_says_so(taskbell: Corridor, rules: str) -> None:
    """Taken out or switched off while it waited: that is the reason, and not the task."""
    number = await visit(taskbell)
    await edit(taskbell, number, completed_on="2026-03-06")
    await taskbell.restart(rules)
    await taskbell.tick(minutes=10)
    assert (await taskbell.reasons())[-1] == (
        "the rule was removed or switched off while it was waiting"
    )


async def test_a_rule_says_what_was_left_when_it_is_not_its_own(taskbell: Corridor) -> None:
    """Ticked off, renamed and on again: a change is left, and none that the rule listens to."""
    number = await visit(taskbell)
    await edit(taskbell, number, completed_on="2026-03-06")
    await edit(taskbell, number, completed_on=None, name="new")
    await taskbell.tick(minutes=10)
    assert await taskbell.reasons() == [
        "after the quiet period only task.changed remained, and the rule does not react to that"
    ]


async def test_what_is_done_while_it_settles_is_told_of_no_more(taskbell: Corridor) -> None:
    """Renamed, and finished before the two minutes are over: as with all that waits."""
    await taskbell.restart(RENAMED)
    number = await visit(taskbell)
    await edit(taskbell, number, name="new")
    await edit(taskbell, number, completed_on="2026-03-06")
    await taskbell.tick(minutes=10)
    assert await taskbell.deliveries() == []
    assert await taskbell.reasons() == ["the task was also completed before the quiet period ended"]


async def test_settling_is_put_off_only_so_long(taskbell: Corridor) -> None:
    """Whoever cannot leave a title alone is waited for no longer than `max`."""
    await taskbell.restart(RENAMED)
    number = await visit(taskbell)
    for minute in range(6):
        assert await taskbell.deliveries() == []
        await taskbell.tick(minutes=1)
        await taskbell.webhook(taskbell.sandbox.kickserv.change(number, name=f"title {minute}"))
    await taskbell.tick()
    assert [one["text"] for one in await taskbell.deliveries()] == ["title 4 done"]
