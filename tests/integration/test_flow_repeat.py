"""`repeat: { every: 30m, max: 3 }`: the same again, until somebody has done something about it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, corridor

NEW_YORK = ZoneInfo("America/New_York")
NOBODY = """
- id: nobody
  when: task.created
  hours: office
  then:
    - notify: slack:#office
      text: "Nobody has {{ task.title }}"
      repeat: { every: 30m, max: 3 }
  until: has(task.assignee)
"""
BO = [{"id": 1, "employee_number": 1, "first_name": "Bo"}]


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync, on a Friday at 9 in the morning in New York."""
    async with corridor(folder, pool, clock, NOBODY) as running:
        await running.begin()
        clock.set(datetime(2026, 3, 6, 9, tzinfo=NEW_YORK).astimezone(UTC))
        yield running


async def come(taskbell: Corridor) -> str:
    """A visit that nobody has; its id."""
    visit = taskbell.visit(employees=[])
    await taskbell.webhook(visit)
    await taskbell.deliver()
    return str(visit["id"])


async def wait(taskbell: Corridor, **time: float) -> int:
    """Let time pass, send what is due, and count what stands in Slack."""
    taskbell.clock.advance(timedelta(**time))
    await taskbell.deliver()
    return len(taskbell.posts)


async def test_it_is_said_again_and_then_no_more(taskbell: Corridor) -> None:
    """At once, after 30, 60 and 90 minutes, and never again."""
    await come(taskbell)
    assert [await wait(taskbell, minutes=30) for _ in range(5)] == [2, 3, 4, 4, 4]
    assert set(taskbell.posts) == {"Nobody has Clean the gutters"}
    reasons = [one["reason"] for one in await taskbell.deliveries()]
    assert reasons == [None, None, None, None]


async def test_it_ends_when_somebody_has_done_something(taskbell: Corridor) -> None:
    """Taken after the first repetition: the others are withdrawn at once, with the reason."""
    number = await come(taskbell)
    assert await wait(taskbell, minutes=30) == 2
    await taskbell.webhook(taskbell.sandbox.kickserv.change(number, employees=BO))
    assert await taskbell.states() == ["sent", "sent", "cancelled", "cancelled"]
    assert await wait(taskbell, hours=2) == 2


async def test_done_ends_it_too(taskbell: Corridor) -> None:
    """Without a word about it in the rule: what is done need not be said again."""
    number = await come(taskbell)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(number))
    last = (await taskbell.deliveries())[-1]
    assert (last["state"], last["reason"]) == ("cancelled", "cancelled: the task was completed")


async def test_repetitions_of_a_night_do_not_come_together(taskbell: Corridor) -> None:
    """Said at 16:45 on Friday: the next on Monday at 8, and from then on every half hour."""
    taskbell.clock.set(datetime(2026, 3, 6, 16, 45, tzinfo=NEW_YORK).astimezone(UTC))
    await come(taskbell)
    assert await wait(taskbell, hours=3) == 1
    due = [one["next_attempt_at"] for one in await taskbell.deliveries()][1:]
    opening = datetime(2026, 3, 9, 8, tzinfo=NEW_YORK)
    assert due == [opening + timedelta(minutes=30 * number) for number in range(3)]
    held = (await taskbell.deliveries())[1]
    assert held["reason"] == (
        "repetition 1 of 3; outside office hours: waiting until Mon 9 Mar 2026, 08:00"
    )


async def test_steps_behind_it_do_not_wait(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """A step after a wait counts from the first message; who cannot be told is told once so."""
    rules = """
    - id: chase
      when: task.created
      then:
        - { notify: "slack:@{{ task.assignee.email }}", text: a, repeat: { every: 1h, max: 5 } }
        - wait: 30m
        - { notify: accounting, repeat: { every: 1h, max: 1 } }
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await come(taskbell)
        await wait(taskbell, minutes=30)
        assert [(one["step"], one["state"]) for one in await taskbell.deliveries()] == [
            (1, "skipped"),
            (3, "sent"),
            (3, "planned"),
        ]
