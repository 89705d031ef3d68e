"""Muted by: what one rule has said of a task keeps another from speaking of those beside it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, corridor

HOUR = timedelta(hours=1)
RULES = """
- id: job-overdue
  when: task.overdue
  if: task.title.startsWith("Job")
  then: [{ notify: "slack:#office", text: "{{ task.title }} is late" }]
- id: task-overdue
  when: { task.overdue: 1h }
  if: '!task.title.startsWith("Job")'
  muted_by: { rule: job-overdue, same: [task.project.id] }
  then: [{ notify: "slack:#dispatch", text: "{{ task.title }} is late" }]
"""


async def visit(taskbell: Corridor, name: str, job: int | None, hours: float = 1) -> dict[str, Any]:
    """A visit of this job that is due in so many hours."""
    end = taskbell.clock.now() + hours * HOUR
    about = {} if job is None else {"job": {"id": job, "job_number": job, "name": f"Job {job}"}}
    made = taskbell.visit(name=name, scheduled_at=end - HOUR / 2, ends_at=end, **about)
    await taskbell.webhook(made)
    return made


async def test_a_job_that_is_late_mutes_its_tasks_and_no_others(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Whoever reads why a message is missing is told which task had been told of."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        await visit(taskbell, "Job A", 7)
        await visit(taskbell, "gutters", 7)
        await visit(taskbell, "roof", 8)
        await visit(taskbell, "shed", None)
        for _ in range(3):
            await taskbell.tick(hours=1)
            await taskbell.deliver()
        assert sorted(taskbell.posts) == ["Job A is late", "roof is late", "shed is late"]
        muted = [one for one in await taskbell.deliveries("task-overdue") if one["text"][0] == "g"]
        [(state, reason, attempts)] = [(m["state"], m["reason"], m["attempts"]) for m in muted]
        assert (state, attempts) == ("skipped", 0)
        assert reason == 'muted: rule job-overdue has already reported "Job A"'


async def test_when_the_job_is_done_or_moved_its_tasks_are_heard_again(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Muting ends with what it comes of; another job's tasks were never muted."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        first = await visit(taskbell, "Job A", 7)
        second = await visit(taskbell, "Job B", 8)
        await taskbell.tick(hours=1)
        kickserv = taskbell.sandbox.kickserv
        clock.advance(timedelta(minutes=1))
        await taskbell.webhook(kickserv.change(str(first["id"]), completed_on="2026-03-06"))
        later = clock.now() + 48 * HOUR
        await taskbell.webhook(kickserv.change(str(second["id"]), ends_at=later))
        for job in (7, 8):
            await visit(taskbell, f"of {job}", job, hours=0.1)
        await taskbell.tick(hours=2)
        await taskbell.deliver()
        assert {"of 7 is late", "of 8 is late"} <= set(taskbell.posts)


async def test_what_waits_is_asked_when_it_is_about_to_go(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A reminder that was planned before the job was late is muted by it all the same."""
    rules = RULES.replace(
        "when: { task.overdue: 1h }\n  if: '!task.title.startsWith(\"Job\")'",
        "when: task.created\n  if: '!task.title.startsWith(\"Job\")'",
    ).replace(
        'then: [{ notify: "slack:#dispatch"', 'then: [{ wait: 2h }, { notify: "slack:#dispatch"'
    )
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await visit(taskbell, "gutters", 7, hours=24)
        await visit(taskbell, "Job A", 7)
        await taskbell.tick(hours=2)
        await taskbell.deliver()
        assert await taskbell.states("task-overdue") == ["skipped"]
