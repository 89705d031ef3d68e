"""A firm on a bad day: people change tasks, and whatever can fail does, as a seed will have it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from service.clock import SystemClock
from service.sandbox.app import Sandbox
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.system import Quirks, Raw, System, TaskSystem
from tests.chaos.chronicle import Chronicle
from tests.chaos.installation import Installation
from tests.chaos.post import Post
from tests.harness.corridor import copy
from tests.harness.waiting import eventually

FEWEST_TASKS, MOST_TASKS = 3, 25
LONGEST_PAUSE = 0.06  # seconds between two things that happen

# All but lies about a task, and refusals for good.
LIES = {FaultKind.NOT_FOUND, FaultKind.EMPTY}
REFUSALS = {FaultKind.UNAUTHORIZED, FaultKind.REJECTED}
TROUBLES = sorted(set(FaultKind) - LIES - REFUSALS)
AMBIGUOUS = (
    FaultKind.SLOW,
    FaultKind.LATE,
    FaultKind.FAILED,
    FaultKind.FAILED_AFTER,
    FaultKind.RESET_AFTER,
    FaultKind.THROTTLED,
)
SLOWEST = 1.5  # seconds
# Where lists leave out what is there, a task that Taskbell has made cannot be found again.
LEAVING_OUT: tuple[Raw, ...] = ({"shift": -2}, {"empty": True}, {"ends_early": True})
MAKES_TASKS = "rolodex"
CONFUSING: tuple[Raw, ...] = (
    {"shift": 2},
    {"loop": True},
    {"foreign_next": True},
    {"bare": True},
    {"lean": False},
    {"prefixed": False},
    {"totalled": False},
    {"tags": "never"},
)
GOOD: Raw = asdict(Quirks())


class Firm:
    """Everything around Taskbell, by small verbs; `live` does them at random."""

    def __init__(
        self,
        rng: Random,
        sandbox: Sandbox,
        chronicles: Mapping[str, Chronicle],
        taskbell: Installation,
        post: Post,
    ) -> None:
        self._rng = rng
        self._sandbox = sandbox
        self._chronicles = chronicles
        self._taskbell = taskbell
        self._post = post
        self._numbers = count(1)
        self._thrown_away: list[tuple[str, str, Raw]] = []

    def furnish(self, tasks: int) -> None:
        """What was there before anybody looked; nobody pushes it."""
        for name, one in self._chronicles.items():
            for _ in range(tasks):
                one.system.make(**self._new(name))

    async def live(self, seconds: float, disasters: int) -> None:
        """So much of this life, with so many disasters at even intervals."""
        striking = asyncio.create_task(self._strike(seconds / (disasters + 1), disasters))
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            self._rng.choice(self._acts)()
            await asyncio.sleep(self._rng.uniform(0, LONGEST_PAUSE))
        await striking

    async def calm_down(self) -> None:
        """Every system works again as it should, and has done what it was slow to do.

        Nothing is archived any more: what nobody told and no list shows cannot be known.
        """
        for system in self._sandbox.systems.values():
            system.hidden.clear()
        for one in (*self._sandbox.systems.values(), self._sandbox.slack):
            one.faults.clear()
            one.set_quirks(**GOOD)
        await asyncio.sleep(SLOWEST)

    @property
    def _acts(self) -> tuple[Callable[[], None], ...]:
        return (
            *[self.make] * 4,
            *[self.finish] * 6,
            *[self.reopen] * 4,
            *[self.move] * 3,
            *[self.put_off] * 4,
            *[self.rename] * 3,
            *[self.delete] * 2,
            *[self.restore] * 2,
            self.archive,
            *[self.hint] * 2,
            self.babble,
            *[self.trouble_a_system] * 3,
            *[self.trouble_a_write] * 2,
            *[self.trouble_slack] * 2,
            self.shuffle_lists,
            *[self.straighten_lists] * 2,
        )

    def make(self) -> None:
        name, system = self._somewhere()
        if len(system.tasks) < MOST_TASKS:
            self._make(name)

    def finish(self) -> None:
        self._change("task.completed", lambda system, task: system.finish(task))

    def reopen(self) -> None:
        self._change("task.updated", lambda system, task: system.reopen(task))

    def move(self) -> None:
        when = self._some_time()
        self._change("task.updated", lambda one, task: one.change(task, **{one.when: when}))

    def put_off(self) -> None:
        """A visit, by a minute; its customer has perhaps been told that somebody is on the way."""
        visits = self._chronicles["kickserv"]
        task_id = self._some_task(visits.system)
        start = datetime.fromisoformat(visits.now(task_id)["start"]) + timedelta(minutes=1)
        self._tell("kickserv", "task.updated", visits.system.change(task_id, scheduled_at=start))

    def rename(self) -> None:
        title = f"Renamed {next(self._numbers)}"
        self._change("task.updated", lambda one, task: one.change(task, **{one.title: title}))

    def delete(self) -> None:
        name, system = self._somewhere()
        if len(system.tasks) <= FEWEST_TASKS:
            return
        task_id = self._some_task(system)
        self._thrown_away.append((name, task_id, copy(system.tasks[task_id])))
        system.delete(task_id)
        self._post.tell(name, "task.deleted", {"id": task_id})

    def restore(self) -> None:
        """Out of the system's waste bin."""
        if self._thrown_away:
            name, task_id, task = self._thrown_away.pop()
            system = self._chronicles[name].system
            system.tasks[task_id] = task
            title = f"Restored {next(self._numbers)}"
            self._tell(name, "task.updated", system.change(task_id, **{system.title: title}))

    def archive(self) -> None:
        """Lists leave it out from now on, and show again what was archived before."""
        _, system = self._somewhere()
        system.hidden.clear()
        system.hidden.add(self._some_task(system))

    def hint(self) -> None:
        name, system = self._somewhere()
        self._post.hint(name, self._some_task(system))

    def babble(self) -> None:
        self._post.babble(self._somewhere()[0])

    def trouble_a_system(self) -> None:
        self._trouble(self._somewhere()[1], TROUBLES)

    def trouble_a_write(self) -> None:
        """A notification or a change that Taskbell makes fails, perhaps after it was made."""
        self._trouble(self._somewhere()[1], AMBIGUOUS, self._rng.choice(("POST", "PUT")))

    def trouble_slack(self) -> None:
        self._trouble(self._sandbox.slack, AMBIGUOUS)

    def shuffle_lists(self) -> None:
        name, system = self._somewhere()
        quirks = CONFUSING if name == MAKES_TASKS else CONFUSING + LEAVING_OUT
        system.set_quirks(**self._rng.choice(quirks))

    def straighten_lists(self) -> None:
        self._somewhere()[1].set_quirks(**GOOD)

    def _trouble(
        self, system: System, kinds: Sequence[FaultKind], method: str | None = None
    ) -> None:
        seconds = self._rng.uniform(0.5, SLOWEST)
        system.faults.set(Fault(self._rng.choice(kinds), method=method, seconds=seconds))

    async def _strike(self, pause: float, disasters: int) -> None:
        """Kill -9 of one process after the other, each before any dies again."""
        taskbell = self._taskbell
        kinds = [taskbell.kill_web, taskbell.kill_valkey, taskbell.kill_postgres]
        kinds.append(taskbell.kill_a_worker)
        for number in range(disasters):
            if not number % len(kinds):
                self._rng.shuffle(kinds)
                await self._kill_workers_in_the_middle()
            await asyncio.sleep(pause)
            kinds[number % len(kinds)]()

    async def _kill_workers_in_the_middle(self) -> None:
        """When a customer has been told, and nobody has heard yet that they were."""
        kickserv, late = self._sandbox.kickserv, Fault(FaultKind.LATE, path="notify")
        kickserv.faults.set(late)
        self._make("kickserv")
        with suppress(TimeoutError):
            await eventually(lambda: late.times == 0, within=3)
        self._taskbell.kill_workers()

    def _make(self, name: str) -> None:
        system = self._chronicles[name].system
        self._tell(name, "task.created", system.make(**self._new(name)))

    def _change(self, event: str, change: Callable[[TaskSystem, str], Raw]) -> None:
        name, system = self._somewhere()
        self._tell(name, event, change(system, self._some_task(system)))

    def _tell(self, name: str, event: str, task: Raw) -> None:
        one = self._chronicles[name]
        task_id = one.source.identify(task) or ""
        self._post.tell(name, event, one.system.whole(task_id))

    def _new(self, name: str) -> dict[str, Any]:
        system = self._chronicles[name].system
        return {system.title: f"Task {next(self._numbers)}", system.when: self._some_time()}

    def _some_time(self) -> datetime:
        """Within half an hour, of which customers are told, or now and then days away."""
        minutes = self._rng.choice((20, 24, 28, 5000)) + self._rng.random()
        return SystemClock().now() + timedelta(minutes=minutes)

    def _somewhere(self) -> tuple[str, TaskSystem]:
        name = self._rng.choice(sorted(self._chronicles))
        return name, self._chronicles[name].system

    def _some_task(self, system: TaskSystem) -> str:
        """One that a person has made: what Taskbell makes must be found again as it was."""
        ours = (key for key, task in system.tasks.items() if "Invoice" not in task[system.title])
        return self._rng.choice(list(ours))
