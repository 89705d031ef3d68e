"""What was past when an account was taken up is told by no rule, however late that tells."""

from datetime import datetime, timedelta
from pathlib import Path

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, corridor

LATE = "- { id: late, when: { task.overdue: 4 days }, then: [{ notify: accounting }] }\n"
AFTER = """
- { id: stale, when: { after: task.created_at, by: 7 days }, then: [{ notify: accounting }] }
- { id: ended, when: { after: task.end, by: 3 days, at: "09:00" }, then: [{ notify: accounting }] }
"""
SOON = "- { id: soon, when: { before: task.start, by: 30m }, then: [{ notify: accounting }] }\n"
DAY = timedelta(days=1)


def visit(taskbell: Corridor, start: datetime) -> str:
    """A visit of an hour that was made two days ago; its id."""
    created = taskbell.clock.now() - 2 * DAY
    dates = {"scheduled_at": start, "ends_at": start + timedelta(hours=1)}
    made = taskbell.sandbox.kickserv.make(**dates)
    return str(taskbell.sandbox.kickserv.change(str(made["id"]), created_at=created)["id"])


async def told(taskbell: Corridor) -> list[tuple[str, str]]:
    rows = await taskbell.deliveries()
    return [(row["rule"], row["task"]) for row in rows]


async def pass_days(taskbell: Corridor, days: int) -> None:
    for _ in range(days):
        await taskbell.tick(days=1)


async def test_what_was_past_at_the_baseline_is_told_by_nobody(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Two days overdue when it came, four days later nobody hears; what was to come rings."""
    async with corridor(folder, pool, clock, LATE + AFTER) as taskbell:
        visit(taskbell, clock.now() - 2 * DAY)
        coming = visit(taskbell, clock.now() + DAY)
        await taskbell.begin()
        await pass_days(taskbell, 9)
        assert await told(taskbell) == [
            ("ended", coming),
            ("late", coming),
        ]


async def test_a_rule_that_is_new_later_does_not_tell_it_either(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The account was there before the rule: nothing of what was past by then is news."""
    async with corridor(folder, pool, clock, SOON) as taskbell:
        visit(taskbell, clock.now() - 2 * DAY)
        await taskbell.begin()
        await taskbell.restart(LATE + AFTER)
        await pass_days(taskbell, 9)
        assert await told(taskbell) == []


async def test_an_old_task_that_moves_or_is_reopened_rings_again(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A date that is set anew is told of as every other."""
    async with corridor(folder, pool, clock, LATE) as taskbell:
        task_id = visit(taskbell, clock.now() - 2 * DAY)
        await taskbell.begin()
        start = clock.now() + DAY
        await taskbell.webhook(
            taskbell.sandbox.kickserv.change(
                task_id, scheduled_at=start, ends_at=start + timedelta(hours=1)
            )
        )
        await pass_days(taskbell, 6)
        assert await told(taskbell) == [("late", task_id)]


async def test_what_became_overdue_while_it_was_known_is_told(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Also by a worker that begins anew in between."""
    async with corridor(folder, pool, clock, LATE) as taskbell:
        task_id = visit(taskbell, clock.now() + timedelta(hours=1))
        await taskbell.begin()
        await pass_days(taskbell, 2)
        await taskbell.restart(LATE)
        await pass_days(taskbell, 4)
        assert await told(taskbell) == [("late", task_id)]
