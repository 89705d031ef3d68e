"""`on_undo: thread | retract`: what was said and is not so any more is answered, or removed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.store import Pool
from service.store.deliveries import REASON
from service.store.views import dashboard
from tests.harness.corridor import Corridor, begun, copy, corridor

FINISHED = """
- id: answered
  when: task.completed
  then: [{ notify: "slack:#office", text: "{{ task.title }} done", on_undo: thread }]
- id: removed
  when: task.completed
  then: [{ notify: "slack:#dispatch", text: "{{ task.title }} done", on_undo: retract }]
"""
BACK = "No longer true (task was reopened): Clean the gutters done"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that has told of a visit that was finished, and hears that it is open again."""
    async with corridor(folder, pool, clock, FINISHED) as running:
        await running.begin()
        visit = running.visit()
        await running.webhook(visit)
        for change in ({"completed_on": "2026-03-06"}, {"completed_on": None}):
            clock.advance(timedelta(minutes=1))
            changed = running.sandbox.kickserv.change(str(visit["id"]), **change)
            await running.webhook(changed)
            if change["completed_on"]:
                await running.deliver()
        yield running


def posts(taskbell: Corridor, name: str) -> list[str]:
    place = taskbell.slack.channels[name]
    return [one["text"] for (channel, _), one in taskbell.slack.posted.items() if channel == place]


async def test_one_is_answered_and_one_is_removed(taskbell: Corridor) -> None:
    """The answer stands below the message; of the other nothing is left."""
    assert posts(taskbell, "office") == posts(taskbell, "dispatch") == ["Clean the gutters done"]
    await taskbell.deliver()
    assert posts(taskbell, "office") == ["Clean the gutters done", BACK]
    assert posts(taskbell, "dispatch") == []
    [(_, ts), _], answer = taskbell.slack.posted, list(taskbell.slack.posted.values())[-1]
    assert answer["thread_ts"] == ts
    assert await taskbell.is_everything_sent()


async def test_an_answer_that_was_lost_is_not_given_twice(taskbell: Corridor) -> None:
    """Slack took both and broke off: the answer is found, and what is gone stays gone."""
    taskbell.slack.lose_answers(2)
    await taskbell.deliver()
    assert await taskbell.states() == ["sent", "sent", "planned", "planned"]
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.deliver()
    assert posts(taskbell, "office") == ["Clean the gutters done", BACK]
    assert posts(taskbell, "dispatch") == []
    assert await taskbell.is_everything_sent()


async def test_what_was_taken_back_is_announced_once_more(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """`once_per` has it told once, and what nobody can read any more was not told."""
    rules = """
    - id: done
      when: task.completed
      once_per: [task.id]
      then: [{ notify: "slack:#office", text: "{{ task.title }} done", on_undo: retract }]
    """
    async with begun(folder, pool, clock, rules) as taskbell:
        visit = taskbell.visit()
        await taskbell.webhook(visit)
        told = []
        for day in ("2026-03-06", None, "2026-03-06", None):
            clock.advance(timedelta(minutes=1))
            changed = taskbell.sandbox.kickserv.change(str(visit["id"]), completed_on=day)
            await taskbell.webhook(changed)
            await taskbell.deliver()
            told.append(len(taskbell.posts))
        assert told == [1, 0, 1, 0]


async def test_what_was_removed_is_not_shown_as_sent(taskbell: Corridor, pool: Pool) -> None:
    """The page and the lists say that it was taken back; what was answered is still there."""
    await taskbell.deliver()
    shown = {one["id"]: one["taken_back"] for one in await dashboard.lately(pool, 10)}
    listed = await pool.fetch(
        f"SELECT id, target, {REASON} AS reason FROM deliveries ORDER BY 2, 1"
    )
    assert [(one["target"], one["reason"], shown[one["id"]]) for one in listed] == [
        ("#dispatch", "withdrawn after sending", True),
        ("#dispatch", "withdrawn after sending", True),
        ("#office", None, False),
        ("#office", None, False),
    ]


@pytest.mark.parametrize("is_sent", [True, False])
async def test_what_recurs_and_is_reopened(
    pool: Pool, clock: VirtualClock, folder: Path, *, is_sent: bool
) -> None:
    """Last week's completion of a recurring task stands, sent or not; today's is taken back."""
    async with begun(folder, pool, clock, FINISHED) as taskbell:
        due = clock.now() + timedelta(days=1)
        task_id = str(taskbell.sandbox.plannr.make(due=due)["uuid"])
        await taskbell.poll("london", full=True)
        for weeks in (1, 2):
            clock.advance(timedelta(hours=1))
            raw = taskbell.sandbox.plannr.change(task_id, due=due + timedelta(weeks=weeks))
            await taskbell.webhook({"event": "task.completed", "data": copy(raw)}, "london")
        clock.advance(timedelta(hours=1))
        await taskbell.webhook(copy(taskbell.sandbox.plannr.finish(task_id)), "london")
        if is_sent:
            await taskbell.deliver()
        clock.advance(timedelta(hours=1))
        await taskbell.webhook(copy(taskbell.sandbox.plannr.reopen(task_id)), "london")
        await taskbell.deliver()
        back = [one for one in posts(taskbell, "office") if one.startswith("No longer true")]
        assert len(posts(taskbell, "office")) - 2 * len(back) == 2
        assert len(posts(taskbell, "dispatch")) == 2
