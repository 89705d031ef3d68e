"""A date without a time is a day: it is not its first instant, and no time is made up for it."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, begun, kinds

RULES = """
- { id: late, when: task.overdue,
    then: [{ notify: slack:#office, text: "{{ task.title }} was due {{ task.due | local }}" }] }
- { id: coming, accounts: [field], when: { task.starting_soon: 30m },
    hours: { use: office, outside: ignore }, once_per: [task.id],
    then: [{ notify: customer:on_the_way }] }
- { id: eve, accounts: [field], when: { before: task.start, by: 1 day, at: "16:00" },
    then: [{ notify: slack:#office, text: "Tomorrow: {{ task.start | local }}" }] }
- { id: punctual, when: task.completed, accounts: [field],
    if: has(task.due) && has(task.completed_at) && task.completed_at <= task.due,
    then: [{ notify: slack:#office, text: "Done {{ task.completed_at | local }}" }] }
"""
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """It is a Friday, a minute past seven in New York."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def until(taskbell: Corridor, text: str) -> None:
    """The clock speaks every half an hour until then, in New York; what it says is sent."""
    end = datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)
    while taskbell.clock.now() < end:
        left = (end - taskbell.clock.now()).total_seconds()
        await taskbell.tick(seconds=min(left, 1800))
        await taskbell.deliver()


async def test_what_is_due_today_is_not_overdue_today(taskbell: Corridor) -> None:
    """In each system; when the day is over all are overdue, and none of them at a time."""
    firm = taskbell.sandbox
    firm.rolodex.make(body="Call", due_date="2026-03-06")
    firm.kickserv.make(name="Mend", scheduled_at="2026-03-06", ends_at="2026-03-06")
    firm.plannr.make(name="File", due_at="2026-03-06 00:00:00")
    for account in ("field", "london", "sales"):
        await taskbell.poll(account)
    await until(taskbell, "2026-03-06 18:30")
    assert taskbell.posts == []
    await until(taskbell, "2026-03-07 00:00")
    assert sorted(taskbell.posts) == [
        "Call was due Fri 6 Mar 2026",
        "File was due Fri 6 Mar 2026",
        "Mend was due Fri 6 Mar 2026",
    ]


async def test_a_visit_without_an_end_is_not_overdue_when_it_begins(taskbell: Corridor) -> None:
    """It is so when its day is over."""
    start = taskbell.clock.now() + timedelta(hours=2)
    visit = taskbell.visit(name="Mend", scheduled_at=start, ends_at=None)
    await taskbell.poll()
    await until(taskbell, "2026-03-06 23:30")
    assert "overdue" not in kinds(await taskbell.events(visit["id"]))
    await until(taskbell, "2026-03-07 00:00")
    assert taskbell.posts[-1] == "Mend was due Fri 6 Mar 2026"


async def test_nobody_is_on_the_way_to_a_day(taskbell: Corridor) -> None:
    """A visit that takes the whole of tomorrow: no customer is told of it at night."""
    taskbell.visit(scheduled_at="2026-03-07", ends_at="2026-03-07")
    await taskbell.poll()
    await until(taskbell, "2026-03-07 12:00")
    assert taskbell.told == []
    assert taskbell.posts == ["Tomorrow: Sat 7 Mar 2026"]


async def test_what_is_done_on_the_day_on_which_it_is_due_is_not_late(taskbell: Corridor) -> None:
    """Kickserv tells the day only: due at nine, done some time, seen at half past twelve."""
    start = taskbell.clock.now() + timedelta(hours=1)
    visit = taskbell.visit(scheduled_at=start, ends_at=start + timedelta(hours=1))
    await taskbell.poll()
    await until(taskbell, "2026-03-06 12:30")
    taskbell.sandbox.kickserv.finish(str(visit["id"]))
    for _ in range(2):
        await taskbell.poll()
        await until(taskbell, "2026-03-06 13:00")
    assert "Done Fri 6 Mar 2026" in taskbell.posts
    known = await taskbell.snapshot(visit["id"])
    assert known is not None
    assert (known["completed_at"], known["completed_at_is_day"]) == (known["due"], True)


@pytest.mark.parametrize("due_by", ["17:00", "09:00"])
async def test_days_are_due_by_another_time(taskbell: Corridor, due_by: str) -> None:
    """Of what is known already as well, from the next poll on; nothing was moved by that."""
    firm = taskbell.sandbox
    firm.rolodex.make(body="Call", due_date="2026-03-07")
    firm.kickserv.make(name="Mend", scheduled_at="2026-03-07", ends_at="2026-03-07")
    for account in ("field", "sales"):
        await taskbell.poll(account)
    accounts = taskbell.head["accounts"]
    taskbell.head["accounts"] = accounts.replace("poll: 60s", f'poll: 60s, due_by: "{due_by}"')
    await taskbell.restart(RULES)
    for account in ("field", "sales"):
        await taskbell.poll(account)
    await until(taskbell, "2026-03-07 08:30")
    assert not [one for one in taskbell.posts if "was due" in one]
    await until(taskbell, f"2026-03-07 {due_by}")
    told = sorted(one for one in taskbell.posts if "was due" in one)
    assert told == ["Call was due Sat 7 Mar 2026", "Mend was due Sat 7 Mar 2026"]
    assert set(kinds(await taskbell.events())) == {"created", "overdue", "reminder"}
