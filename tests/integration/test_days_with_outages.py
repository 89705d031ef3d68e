"""Days with outages of hours, on a clock that a test moves: who was told, and what was left out.

A firm's visits are made, moved, given away, called off and finished. Now and then Taskbell is away,
or the system answers nothing but errors. Afterwards the system's own record of what customers were
told is held against what was so at that moment, and Taskbell's record against what has happened.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.system import Raw
from service.store import Pool
from tests.harness.corridor import Corridor, copy, corridor

IS_SOAKING = settings.get_current_profile_name() == "soak"
SEEDS = range(1, 13) if IS_SOAKING else [1, 2]
DAYS = 5 if IS_SOAKING else 1
PACE = timedelta(minutes=5)
AHEAD = timedelta(minutes=30)
FOR_EVER = 10**6

RULES = """
- id: on-the-way
  when: { task.starting_soon: 30m }
  if: has(task.assignee)
  expires: 20m
  once_per: [task.id, task.start]
  then: [{ notify: "customer:on_the_way" }]
- id: done
  when: task.completed
  then: [{ notify: accounting, text: "{{ task.id }}" }]
- id: late
  when: task.overdue
  then: [{ notify: accounting, text: "{{ task.id }}" }]
"""
ACCOUNT = """\
  field: {{ system: kickserv, base_url: "{url}/kickserv", slug: acme, poll: 60s, timeout: 3s,
            token: "${{SYSTEM_TOKEN}}", per_minute: 100000 }}
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES, lambda url: ACCOUNT.format(url=url)) as running:
        await running.begin()
        yield running


class Days:
    """What the firm does, at random but the same for a seed, and what was so at which moment."""

    def __init__(self, taskbell: Corridor, seed: int) -> None:
        self.taskbell = taskbell
        self.system = taskbell.sandbox.kickserv
        self.history: dict[str, list[tuple[datetime, Raw | None]]] = {}
        self._rng = Random(seed)  # noqa: S311
        self._away_until = self._failing_until = taskbell.clock.now()
        self._at_work: list[datetime] = []

    async def live(self, days: int) -> None:
        """Let days go by, and then a quiet hour in which everything works."""
        end = self.taskbell.clock.now() + timedelta(days=days)
        while self.taskbell.clock.now() < end:
            self.taskbell.clock.advance(PACE / 2)
            self._act()
            self._trouble()
            await self._go_on()
        self._away_until = self._failing_until = self.taskbell.clock.now()
        for _ in range(24):
            await self._go_on()

    def _act(self) -> None:
        for _ in range(self._rng.choice((0, 0, 1, 1, 2))):
            act: Callable[[], str | None] = self._rng.choice(
                (self._make, self._make, self._finish, self._move, self._give_away, self._delete)
            )
            task_id = act()
            if task_id is not None:
                state = self.system.tasks.get(task_id)
                seen = (self.taskbell.clock.now(), state and copy(state))
                self.history.setdefault(task_id, []).append(seen)

    def _make(self) -> str:
        start = self._some_time()
        task = self.system.make(scheduled_at=start, ends_at=start + timedelta(hours=1))
        return str(task["id"])

    def _finish(self) -> str | None:
        task_id = self._some_task()
        if task_id is not None:
            self.system.finish(task_id)
        return task_id

    def _move(self) -> str | None:
        task_id, start = self._some_task(), self._some_time()
        if task_id is not None:
            self.system.change(task_id, scheduled_at=start, ends_at=start + timedelta(hours=1))
        return task_id

    def _give_away(self) -> str | None:
        """Nobody is to go there any more."""
        task_id = self._some_task()
        if task_id is not None:
            self.system.change(task_id, employees=[])
        return task_id

    def _delete(self) -> str | None:
        task_id = self._some_task()
        if task_id is not None:
            self.system.delete(task_id)
        return task_id

    def _some_task(self) -> str | None:
        open_ = [key for key, one in self.system.tasks.items() if not one["completed_on"]]
        return self._rng.choice(open_) if open_ else None

    def _some_time(self) -> datetime:
        return self.taskbell.clock.now() + timedelta(minutes=self._rng.randint(15, 600))

    def _trouble(self) -> None:
        """Every few hours one of both is gone for hours."""
        now = self.taskbell.clock.now()
        if max(self._away_until, self._failing_until) > now or self._rng.random() > 1 / 60:
            return
        until = now + timedelta(minutes=self._rng.choice((20, 45, 120, 300)))
        if self._rng.random() < 1 / 2:
            self._away_until = until
        else:
            self._failing_until = until

    async def _go_on(self) -> None:
        self.taskbell.clock.advance(PACE / 2)
        now = self.taskbell.clock.now()
        self.system.faults.clear()
        if self._failing_until > now:
            self.system.faults.set(Fault(FaultKind.FAILED, times=FOR_EVER))
        if self._away_until <= now:
            await work(self.taskbell)
        if max(self._away_until, self._failing_until) <= now:
            self._at_work.append(now)

    def at(self, task_id: str, moment: datetime) -> Raw | None:
        """How the task was then; None if there was none."""
        states = [state for at, state in self.history[task_id] if at <= moment]
        return states[-1] if states else None

    def at_work(self, moment: datetime) -> datetime:
        """When Taskbell next could see what is so: a little after both were there again."""
        return self._at_work[bisect_left(self._at_work, moment)] + 2 * PACE


async def work(taskbell: Corridor) -> None:
    """What a worker does by itself when its time has come."""
    await taskbell.poll_what_is_due()
    await taskbell.look_up()
    await taskbell.tick()
    await taskbell.deliver()


@pytest.mark.parametrize("seed", SEEDS)
async def test_days_with_outages_of_hours(taskbell: Corridor, seed: int) -> None:
    """Nobody was told of what was no longer so, nobody twice, and what was left out says why."""
    days = Days(taskbell, seed)
    await days.live(DAYS)
    assert taskbell.told, "a day on which nobody was told anything shows nothing"
    for told in taskbell.sandbox.kickserv.record.notifications:
        allowed(days.at(told.task_id, told.at), told.at)
    assert set(heard(days).values()) <= {1}
    assert await completions(taskbell) == finished(days)
    assert await unexplained(taskbell) == []
    assert visits_that_came(days) <= await thought_of(taskbell)


def allowed(visit: Raw | None, at: datetime) -> None:
    """Somebody is on the way to a visit that is there, open, given to somebody, and about to be."""
    assert visit is not None, "told of a visit that was called off"
    assert not visit["completed_on"], "told of a visit that was over"
    assert visit["employees"], "told of a visit that nobody goes to"
    assert at <= start_of(visit) <= at + AHEAD, f"told at {at} of {visit['scheduled_at']}"


def heard(days: Days) -> Counter[tuple[str, Any]]:
    """How often the customer of a visit was told, for each start that it had."""
    told = days.system.record.notifications
    visits = [(one.task_id, days.at(one.task_id, one.at)) for one in told]
    return Counter((task_id, visit and visit["scheduled_at"]) for task_id, visit in visits)


async def completions(taskbell: Corridor) -> Counter[str]:
    """How often each visit was told to accounting as done."""
    bodies = [request.json for request in taskbell.accounting.requests]
    return Counter(
        body["data"]["task"]["id"] for body in bodies if body["type"] == "task.completed"
    )


def finished(days: Days) -> Counter[str]:
    """The visits that were finished."""
    last = {task_id: states[-1][1] for task_id, states in days.history.items()}
    return Counter(task_id for task_id, state in last.items() if state and state["completed_on"])


async def unexplained(taskbell: Corridor) -> list[Any]:
    """Deliveries without an end, or that were not sent and do not say why."""
    return [
        (row["rule"], row["state"])
        for row in await taskbell.deliveries()
        if row["state"] != "sent" and not row["reason"]
    ]


def visits_that_came(days: Days) -> set[str]:
    """Those of which a customer should have heard: half an hour before, they were to begin.

    And so until they began, and until Taskbell could see that: what was changed in an outage leaves
    no trace of what it was before.
    """
    return {
        task_id
        for task_id, states in days.history.items()
        for (since, state), (until, _) in pairwise([*states, (days.taskbell.clock.now(), None)])
        if state is not None
        and is_due_to_be_told(state, since, until)
        and days.at_work(start_of(state) - AHEAD) <= until
    }


def is_due_to_be_told(visit: Raw, since: datetime, until: datetime) -> bool:
    start = start_of(visit)
    was_open = bool(visit["employees"]) and not visit["completed_on"]
    return was_open and since <= start - AHEAD - PACE and start <= until - PACE


async def thought_of(taskbell: Corridor) -> set[str]:
    """The visits of which the record says what became of telling their customer."""
    return {row["task"] for row in await taskbell.deliveries("on-the-way")}


def start_of(visit: Raw) -> datetime:
    return datetime.fromisoformat(visit["scheduled_at"])
