"""Law 8 as a property: whatever happens in whatever order, nobody is told what is not so."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from tests.harness.corridor import Corridor, corridor, go_round
from workers.heartbeat import Heartbeat

RULES = """
- { id: soon, when: { task.starting_soon: 30m }, accounts: [field], once_per: [task.id, task.start],
    then: [{ notify: customer:on_the_way }] }
- { id: new, when: task.created, accounts: [field], then: [{ notify: customer:details }] }
"""
EXAMPLES = 1000 if settings.get_current_profile_name() == "soak" else 15
STEPS = {
    "come": 1,
    "move": 2,
    "finish": 2,
    "reopen": 2,
    "delete": 1,
    "be_left_alone": 1,
    "get_somebody": 1,
    "hear": 3,
    "poll": 2,
    "wait": 6,
    "send": 6,
    "reads_fail": 2,
    "reads_work": 3,
    "away": 2,
}
steps = st.lists(
    st.tuples(
        st.sampled_from([name for name, weight in STEPS.items() for _ in range(weight)]),
        st.integers(0, 2),
        st.sampled_from([1, 7, 20, 29, 31, 90]),
    ),
    min_size=15,
    max_size=40,
)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin("field")
        yield running


class Day:
    """A day of a firm, step by step; after each, what customers were told is judged."""

    def __init__(self, taskbell: Corridor) -> None:
        self.taskbell = taskbell
        self.kickserv = taskbell.sandbox.kickserv
        self.visits = [str(self._visit()["id"]) for _ in range(3)]

    def _visit(self) -> dict[str, object]:
        return self.taskbell.visit(scheduled_at=self._in(60))

    def _in(self, minutes: int) -> datetime:
        return self.taskbell.clock.now() + timedelta(minutes=minutes)

    async def do(self, step: str, which: int, minutes: int) -> None:
        number = self.visits[which]
        is_there = number in self.kickserv.tasks
        if step in {"move", "finish", "reopen", "delete", "be_left_alone", "get_somebody", "hear"}:
            if is_there:
                await self._to_visit(step, number, minutes)
        elif step == "come":
            self.visits[which] = str(self._visit()["id"])
        else:
            await self._to_taskbell(step, minutes)

    async def _to_visit(self, step: str, number: str, minutes: int) -> None:
        match step:
            case "move":
                self.kickserv.change(number, scheduled_at=self._in(minutes))
            case "finish":
                self.kickserv.finish(number)
            case "reopen":
                self.kickserv.reopen(number)
            case "delete":
                self.kickserv.delete(number)
            case "be_left_alone":
                self.kickserv.change(number, employees=[])
            case "get_somebody":
                self.kickserv.change(number, employees=[{"id": 7, "first_name": "Bo"}])
            case _:
                await self.taskbell.webhook(self.kickserv.tasks[number])

    async def _to_taskbell(self, step: str, minutes: int) -> None:
        taskbell = self.taskbell
        match step:
            case "poll":
                await taskbell.poll("field")
                await taskbell.look_up()
            case "wait":
                taskbell.clock.advance(timedelta(minutes=min(minutes, 10)))
                await self._be_there()
            case "away":
                taskbell.clock.advance(timedelta(minutes=minutes))
                await taskbell.restart(RULES)
                await self._be_there()
            case "reads_fail":
                self.kickserv.faults.set(Fault(FaultKind.FAILED, times=minutes, method="GET"))
            case "reads_work":
                self.kickserv.faults.clear()
            case _:
                await taskbell.deliver("account:field")

    async def _be_there(self) -> None:
        await Heartbeat(
            self.taskbell.pool, self.taskbell.clock, self.taskbell.config.accounts
        ).note()
        await self.taskbell.poll_what_is_due()
        await self.taskbell.look_up()
        await go_round(self.taskbell.worker)

    def judge(self) -> None:
        """What was told since the last judgement is so at this moment, at which it was told."""
        notifications = self.kickserv.record.notifications
        for one in notifications:
            task = self.kickserv.tasks.get(one.task_id)
            assert task is not None, f"told of {one.task_id}, which is gone"
            assert not task[self.kickserv.quirks.completed_field], "told of what is done"
            if one.notification == "on_the_way":
                start = datetime.fromisoformat(str(task["scheduled_at"]))
                assert task["employees"], "nobody is on the way"
                assert one.at < start <= one.at + timedelta(minutes=30), "it is not about to begin"
        notifications.clear()


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=steps)
async def test_every_message_to_a_customer_was_so_when_it_was_sent(
    taken: list[tuple[str, int, int]], taskbell: Corridor
) -> None:
    """Visits change, reads fail, Taskbell is away: the system's state allowed each message."""
    await taskbell.pool.execute(
        "TRUNCATE tasks, events, receipts, lookups, rate_limits, deliveries, outages, storms"
    )
    await taskbell.pool.execute(
        "UPDATE accounts SET canaries = '{}', failing_since = NULL, scan_asked_at = NULL,"
        " alive_until = NULL, resumed_at = NULL"
    )
    taskbell.sandbox.kickserv.faults.clear()
    taskbell.sandbox.kickserv.tasks.clear()
    taskbell.sandbox.kickserv.record.notifications.clear()
    day = Day(taskbell)
    for step in taken:
        await day.do(*step)
        day.judge()
