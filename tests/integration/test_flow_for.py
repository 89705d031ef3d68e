"""`for: 1h`: a rule acts when its condition has been true for an hour without a break."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, corridor

UNASSIGNED = """
- id: new
  when: task.created
  if: "!has(task.assignee)"
  for: 1h
  then: [{ notify: "slack:#office", text: "nobody took {{ task.title }}" }]
- id: lost
  when: task.reassigned
  if: "!has(task.assignee)"
  for: 1h
  then: [{ notify: "slack:#office", text: "{{ before.assignee.name }} left {{ task.title }}" }]
"""
BO = [{"id": 1, "employee_number": 1, "first_name": "Bo"}]


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with corridor(folder, pool, clock, UNASSIGNED) as running:
        await running.begin()
        yield running


async def come(taskbell: Corridor, **fields: Any) -> str:
    """A visit that nobody has; its id."""
    visit = taskbell.visit(**{"employees": []} | fields)
    await taskbell.webhook(visit)
    return str(visit["id"])


async def change(taskbell: Corridor, number: str, **fields: Any) -> None:
    await taskbell.webhook(taskbell.sandbox.kickserv.change(number, **fields))


async def wait(taskbell: Corridor, minutes: float) -> list[str]:
    """Let time pass, let the rules decide, send; what stands in Slack then."""
    await taskbell.tick(minutes=minutes)
    await taskbell.deliver()
    return taskbell.posts


async def test_unassigned_for_an_hour(taskbell: Corridor) -> None:
    """Nothing for 59 minutes, then once, and never again."""
    await come(taskbell)
    assert await wait(taskbell, 59) == []
    assert await wait(taskbell, 1) == ["nobody took Clean the gutters"]
    assert await wait(taskbell, 300) == ["nobody took Clean the gutters"]


async def test_other_changes_do_not_begin_it_anew(taskbell: Corridor) -> None:
    """Renamed and moved meanwhile: the hour is over when it would have been, with the new name."""
    number = await come(taskbell)
    await wait(taskbell, 30)
    await change(taskbell, number, name="Mend the roof")
    assert await wait(taskbell, 30) == ["nobody took Mend the roof"]


async def test_it_ends_when_it_is_not_so_any_more(taskbell: Corridor) -> None:
    """Taken after half an hour: nothing is said, and the decision tells why."""
    number = await come(taskbell)
    await wait(taskbell, 30)
    await change(taskbell, number, employees=BO)
    assert await taskbell.reasons() == ["the wait ended early: !has(task.assignee) is not true"]
    assert await wait(taskbell, 60) == []


async def test_it_begins_anew_after_a_break(taskbell: Corridor) -> None:
    """Taken, and given back ten minutes later: the hour begins then."""
    number = await come(taskbell)
    await wait(taskbell, 30)
    await change(taskbell, number, employees=BO)
    await wait(taskbell, 10)
    await change(taskbell, number, employees=[])
    assert await wait(taskbell, 59) == []
    assert await wait(taskbell, 1) == ["Bo left Clean the gutters"]


@pytest.mark.parametrize("how", ["completed", "deleted"])
async def test_done_or_gone_ends_it(how: str, taskbell: Corridor) -> None:
    """The wait of a rule with `for` ends when the task is done or deleted."""
    number = await come(taskbell)
    await wait(taskbell, 30)
    if how == "completed":
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(number))
    else:
        taskbell.sandbox.kickserv.delete(number)
        await taskbell.webhook({"id": number})
        await taskbell.look_up()
    assert await taskbell.reasons() == [f"the wait ended early: the task was {how}"]
    assert await wait(taskbell, 60) == []


async def test_it_does_not_begin_where_it_is_not_so(taskbell: Corridor) -> None:
    """Somebody had it from the start: nobody waits for anything."""
    await come(taskbell, employees=BO)
    assert await taskbell.pool.fetchval("SELECT count(*) FROM waits") == 0


async def test_a_restart_forgets_nothing(taskbell: Corridor) -> None:
    """The process ends in the middle and is started again after the hour."""
    await come(taskbell)
    taskbell.clock.advance(timedelta(minutes=90))
    again = await taskbell.restart(UNASSIGNED)
    assert await wait(again, 0) == ["nobody took Clean the gutters"]


async def test_a_rule_that_was_taken_out_says_nothing(taskbell: Corridor) -> None:
    """Taken out while it waited; its decision says so."""
    await come(taskbell)
    again = await taskbell.restart("- { id: x, when: task.deleted, then: [{ wait: 1s }] }")
    assert await wait(again, 90) == []
    assert await again.reasons() == ["the rule was removed or switched off while it was waiting"]


async def test_time_alone_may_make_it_untrue(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Asked again at the end: by then the visit has begun, of which nobody sent an event."""
    rules = UNASSIGNED.replace('"!has(task.assignee)"', '"has(task.start) && task.start > now"')
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        start = clock.now() + timedelta(minutes=45)
        await come(taskbell, scheduled_at=start, ends_at=start + timedelta(hours=8))
        assert await wait(taskbell, 60) == []
        assert await taskbell.reasons() == ["has(task.start) && task.start > now is not true"]


async def test_the_clock_can_begin_it(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Overdue and still waiting a while later; one that was moved meanwhile is left alone."""
    rules = """
    - id: late
      when: task.overdue
      for: 1h
      then: [{ notify: "slack:#office", text: "{{ task.title }} {{ event.kind }}" }]
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        due = clock.now() + timedelta(minutes=10)
        dates = {"scheduled_at": clock.now(), "ends_at": due}
        await come(taskbell, name="stays", **dates)
        moved = await come(taskbell, name="moved", **dates)
        await wait(taskbell, 10)
        await wait(taskbell, 30)
        later = clock.now() + timedelta(days=1)
        await change(taskbell, moved, scheduled_at=later, ends_at=later + timedelta(hours=1))
        assert await wait(taskbell, 30) == ["stays overdue"]
        assert await taskbell.reasons() == [
            "the wait ended early: the task was rescheduled",
            "task.overdue",
        ]
