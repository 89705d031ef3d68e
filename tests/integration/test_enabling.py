"""Turning a rule on: Taskbell says how many tasks match already, and passes them over."""

from datetime import timedelta
from pathlib import Path

from structlog.testing import capture_logs

from service.change_plan.new_rules import passed_over
from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import corridor

OLD = "- { id: old, when: task.created, then: [{ notify: accounting }] }"
LATE = "- { id: late, when: { task.overdue: 1h }, then: [{ notify: accounting }] }"


async def test_a_new_rule_passes_over_what_matched_before(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """It is said once, of the new rule only, and nobody gets a message about the past."""
    async with corridor(folder, pool, clock, OLD) as taskbell:
        for _ in range(3):
            taskbell.visit(ends_at=clock.now() + timedelta(hours=1))
        await taskbell.begin()
        await taskbell.tick(hours=5)
        with capture_logs() as logs:
            await taskbell.restart(f"{OLD}\n{LATE}")
            await taskbell.restart(f"{OLD}\n{LATE}")
        said = [line for line in logs if line["event"] == "rule.passes_over"]
        assert [(line["rule"], line["tasks"]) for line in said] == [("late", 3)]
        await taskbell.tick(hours=1)
        assert await taskbell.deliveries() == []


async def test_a_rule_in_other_words_is_a_new_one(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Compared is what is written, with the rules that were in force before."""
    async with corridor(folder, pool, clock, LATE) as taskbell:
        taskbell.visit(ends_at=clock.now() + timedelta(hours=1))
        await taskbell.begin()
        await taskbell.tick(hours=5)
        before = taskbell.config.text
        await taskbell.restart(f"{OLD}\n{LATE.replace('1h', '2h')}")
        assert await passed_over(pool, taskbell.config, before, clock.now()) == {
            "old": 1,
            "late": 1,
        }
