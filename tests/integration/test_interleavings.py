"""Laws 2, 4, 5 and 6 at once: whatever the order in which looks come and transactions die."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.books import Books
from service.clock import VirtualClock
from service.engine import Consequences, Engine
from service.model import Cause, Observation
from service.sandbox.system import Raw
from service.sources import Page
from service.store import Pool
from service.store.lookups import Lookup
from tests.corridor import Corridor, copy, corridor

RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"
# What says nothing about the task itself, so that no event is made of it.
UNTOLD = ("created_at", "updated_at", "completed_at")
SYSTEMS = {"london": "plannr", "field": "kickserv", "undated": "kickserv", "sales": "rolodex"}
EXAMPLES = 1000 if settings.get_current_profile_name() == "soak" else 12
# What may happen next, and how often; what crosses on the way has to be likely.
STEPS = {
    "change": 5,
    "finish": 2,
    "reopen": 2,
    "delete_or_restore": 2,
    "hear": 6,
    "whole_comes": 3,
    "part_comes": 1,
    "hint_comes": 1,
    "deletion_comes": 1,
    "ingest": 3,
    "look_up": 3,
    "look_begins": 3,
    "look_ends": 4,
    "pages_are_asked_for": 4,
    "page_comes": 6,
    "poll": 2,
    "scan": 1,
}

Look: TypeAlias = tuple[Lookup, Observation]
Step: TypeAlias = tuple[str, int, int, str | None]


class Died(Exception):
    """The process was killed."""


class Death:
    """Ends a transaction before it is committed: before anything was written, or after all was."""

    def __init__(self, engine: Engine) -> None:
        self.comes: str | None = None
        self._observe = partial(Engine.observe, engine)
        engine.observe = self._or_die  # type: ignore[method-assign]

    async def _or_die(self, books: Books, seen: Sequence[Observation]) -> Consequences:
        if self.comes == "early":
            raise Died
        after = await self._observe(books, seen)
        if self.comes == "late":
            raise Died
        return after


class Office:
    """A few tasks that people change, and what is under way of each."""

    def __init__(self, taskbell: Corridor, account: str) -> None:
        self.taskbell = taskbell
        self.account = "field" if account == "undated" else account
        self.is_dated = account != "undated"
        self.death = Death(taskbell.worker.ingests[self.account]._engine)
        self.system = taskbell.sandbox.systems[SYSTEMS[account]]
        self.source = taskbell.sources[self.account]
        self.system.tasks.clear()
        made = [taskbell.visit() if self.account == "field" else self.system.make() for _ in "12"]
        self.ids = [self.source.identify(raw) or "" for raw in made]
        self.fresh = {task_id: copy(raw) for task_id, raw in zip(self.ids, made, strict=True)}
        self.history: dict[str, list[Any]] = {task_id: [] for task_id in self.ids}
        self.sent: dict[str, list[Raw]] = {task_id: [] for task_id in self.ids}
        self.pages: list[Page] = []
        self.looks: list[Look] = []
        self.changes = 0
        for task_id in self.ids:
            self._note(task_id)

    def _note(self, task_id: str) -> None:
        """Remember how the task looks now, and the webhook that says so."""
        raw = self.system.tasks.get(task_id)
        if raw is not None and not self.is_dated:
            raw.pop("updated_at", None)
        self.history[task_id].append(None if raw is None else self.parsed(raw))
        if raw is not None:
            self.sent[task_id].append(copy(raw))

    def parsed(self, raw: Raw) -> Any:
        return shown(orjson.loads(self.source.parse(self.source.trim(copy(raw))).to_json()))

    async def do(self, step: Step) -> None:
        """One step, in which the process may die; what was under way then is lost."""
        name, task, number, self.death.comes = step
        self.taskbell.clock.advance(timedelta(milliseconds=700))
        with suppress(Died):
            await getattr(self, name)(self.ids[task], number)
        self.death.comes = None

    async def change(self, task_id: str, _: int) -> None:
        self.changes += 1
        if task_id in self.system.tasks:
            self.system.change(task_id, **{self.system.title: f"title {self.changes}"})
            self._note(task_id)

    async def finish(self, task_id: str, _: int) -> None:
        if task_id in self.system.tasks:
            self.system.finish(task_id)
            self._note(task_id)

    async def reopen(self, task_id: str, _: int) -> None:
        if task_id in self.system.tasks:
            undone = ("completed_on", "completed_at", "completed_by", "status")
            fresh = self.fresh[task_id]
            self.system.change(task_id, **{one: fresh[one] for one in undone if one in fresh})
            self._note(task_id)

    async def delete_or_restore(self, task_id: str, _: int) -> None:
        if task_id in self.system.tasks:
            self.system.delete(task_id)
        else:
            self.changes += 1
            self.system.tasks[task_id] = copy(self.fresh[task_id])
            self.system.change(task_id, **{self.system.title: f"title {self.changes}"})
        self._note(task_id)

    async def hear(self, task_id: str, back: int) -> None:
        """A webhook comes and is read at once."""
        await self.whole_comes(task_id, back // 2)
        await self.taskbell.ingest()
        await self.taskbell.look_up(self.account)

    async def whole_comes(self, task_id: str, back: int) -> None:
        sent = self.sent[task_id]
        await self.taskbell.receive({"data": sent[max(0, len(sent) - 1 - back)]}, self.account)

    async def part_comes(self, task_id: str, back: int) -> None:
        sent = self.sent[task_id][max(0, len(self.sent[task_id]) - 1 - back)]
        part = {name: sent[name] for name in ("id", "uuid", self.system.title) if name in sent}
        await self.taskbell.receive({"event": "task.updated", "data": part}, self.account)

    async def hint_comes(self, task_id: str, number: int) -> None:
        await self.taskbell.receive({"id": task_id, "number": number}, self.account)

    async def deletion_comes(self, task_id: str, number: int) -> None:
        body = {"event": "task.deleted", "data": {"id": task_id, "number": number}}
        await self.taskbell.receive(body, self.account)

    async def ingest(self, _: str, __: int) -> None:
        await self.taskbell.ingest()

    async def look_up(self, _: str, __: int) -> None:
        await self.taskbell.look_up(self.account)

    async def look_begins(self, task_id: str, _: int) -> None:
        """Somebody wants to know; the answer will be read later, or never."""
        taskbell, now = self.taskbell, self.taskbell.clock.now()
        reader = taskbell.worker.lookups[self.account]
        one = Lookup(self.account, task_id, Cause.FETCH, now, 1, [])
        look = await reader._attempt(one)
        if look is not None:
            self.looks.append((one, look))

    async def look_ends(self, _: str, which: int) -> None:
        if self.looks:
            reader = self.taskbell.worker.lookups[self.account]
            await reader._take(*self.looks[which % len(self.looks)])

    async def pages_are_asked_for(self, _: str, __: int) -> None:
        self.pages += [page async for page in self.source.scan()]

    async def page_comes(self, _: str, which: int) -> None:
        if self.pages:
            page = self.pages[which % len(self.pages)]
            await self.taskbell.worker.polls[self.account]._take(page)

    async def poll(self, _: str, __: int) -> None:
        await self.taskbell.poll(self.account)

    async def scan(self, _: str, __: int) -> None:
        await self.taskbell.poll(self.account, full=True)

    async def come_to_rest(self) -> None:
        """Everything that was to be read is read."""
        for _ in range(3):
            self.taskbell.clock.advance(timedelta(minutes=11))
            await self.taskbell.ingest()
            await self.taskbell.look_up(self.account)
            await self.taskbell.poll(self.account, full=True)
            await self.taskbell.look_up(self.account)


def shown(task: Any) -> Any:
    """What of a task's JSON events are made of."""
    return None if task is None else {k: v for k, v in task.items() if k not in UNTOLD}


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


steps = st.tuples(
    st.sampled_from([name for name, weight in STEPS.items() for _ in range(weight)]),
    st.sampled_from([0, 0, 0, 1]),
    st.integers(0, 2),
    st.sampled_from([None, None, None, "early", "late"]),
)


@pytest.mark.parametrize("account", sorted(SYSTEMS))
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=st.lists(steps, min_size=20, max_size=40))
async def test_any_interleaving_ends_as_the_system_and_tells_a_true_story(
    account: str, taken: list[Step], taskbell: Corridor
) -> None:
    """What is known is what is; each event follows from the one before and was once so.

    `undated` is a system that does not say when a task was changed.
    """
    await taskbell.pool.execute("TRUNCATE tasks, events, receipts, lookups")
    office = Office(taskbell, account)
    for step in taken:
        await office.do(step)
    await office.come_to_rest()
    for task_id in office.ids:
        await is_true(office, task_id)


async def is_true(office: Office, task_id: str) -> None:
    """The task's state and its events are what really was, in its order."""
    rows = await office.taskbell.pool.fetch(
        "SELECT kind, at, before, after FROM events WHERE task = $1 ORDER BY id", task_id
    )
    looks = [
        (shown(orjson.loads(before or "null")), shown(orjson.loads(after or "null")))
        for (_, before, after), _ in groupby(
            (row["at"], row["before"], row["after"]) for row in rows
        )
    ]
    real = office.history[task_id]
    known = shown(await office.taskbell.snapshot(task_id))
    assert known == real[-1]
    assert [before for before, _ in looks] == [None, *(after for _, after in looks)][: len(looks)]
    assert (looks[-1][1] if looks else None) == known
    rest = iter(real)
    assert all(after in rest for _, after in looks), "told in another order than it was"
