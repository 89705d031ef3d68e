"""An office whose people change a few tasks, and whose news may cross, repeat and get lost.

Each step is a method of `Office`; what comes of the steps is for a test to judge.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

import orjson

from service.domain.model import Cause, Observation
from service.engine import Engine
from service.engine.effects import Effects
from service.engine.transaction import Transaction
from service.errors import SourceError
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.system import Raw
from service.sources import Page, systems
from service.store import lookups
from service.store.lookups import Lookup, PostgresLookups
from service.store.receipts import body_key
from tests.contract.source_rig import sample
from tests.harness.corridor import Corridor, copy
from workers.awaiting import Answer

# What may happen next, and how often; what crosses on the way has to be likely.
STEPS = {
    "change": 5,
    "finish": 2,
    "reopen": 2,
    "delete_or_restore": 2,
    "restore_a_backup": 1,
    "make_and_finish": 1,
    "announce_early": 3,
    "announce_a_new_one_early": 1,
    "what_was_announced_shows": 4,
    "commit_late": 1,
    "time_passes": 1,
    "call_will_fail": 1,
    "hear": 6,
    "follow": 4,
    "whole_comes": 3,
    "part_comes": 1,
    "hint_comes": 1,
    "deletion_comes": 1,
    "ingest": 3,
    "look_up": 3,
    "looks_begin": 4,
    "look_ends": 4,
    "pages_are_asked_for": 4,
    "page_comes": 6,
    "poll": 4,
    "scan": 1,
}
# What says nothing about the task itself, so that no event is made of it.
UNTOLD = ("created_at", "updated_at", "completed_at", "revision")
# Longer than any lease or pause between two tries, so that what was begun is begun again.
REST = timedelta(minutes=11)
# What a system shows within this time of announcing it is waited for.
PATIENCE = timedelta(minutes=4)

Look: TypeAlias = tuple[Lookup, Answer]
Step: TypeAlias = tuple[str, int, int, str | None]
"""What happens, to which task, a number that the step makes something of, and a death."""


class Died(Exception):
    """The process was killed."""


class Death:
    """Ends a transaction before it is committed: before anything was written, or after all was."""

    def __init__(self, engine: Engine) -> None:
        self.comes: str | None = None
        self._observe = partial(Engine.observe, engine)
        engine.observe = self._or_die  # type: ignore[method-assign]

    async def _or_die(self, tx: Transaction, seen: Sequence[Observation]) -> Effects:
        if self.comes == "early":
            raise Died
        after = await self._observe(tx, seen)
        if self.comes == "late":
            raise Died
        return after


class Office:
    """Two tasks and more in a system, what they were, and what is under way of each.

    `told` are the tasks of which a webhook came that says, or lets be read, what they are now.
    `rolled_back` are those that are as they were in a backup, which takes a second look.
    `behind` are those that have changed and are still shown as before: since when, and as what.
    Where `dated` is false the system does not say when a task was changed.
    """

    def __init__(self, taskbell: Corridor, system: str, *, dated: bool) -> None:
        self.taskbell = taskbell
        self.account = system
        self.is_dated = dated
        self.death = Death(taskbell.worker.ingests[system]._engine)
        self.system = taskbell.sandbox.systems[system]
        self.source = taskbell.sources[system]
        self.system.tasks.clear()
        self.system.faults.clear()
        self.ids: list[str] = []
        self.fresh: dict[str, Raw] = {}
        self.history: dict[str, list[Any]] = defaultdict(list)
        self.sent: dict[str, list[Raw]] = defaultdict(list)
        self.told: set[str] = set()
        self.backups: dict[str, list[Raw]] = defaultdict(list)
        self.rolled_back: set[str] = set()
        self.behind: dict[str, tuple[datetime, Raw | None]] = {}
        self.pages: list[Page] = []
        self.looks: list[Look] = []
        self.changes = 0
        for _ in "12":
            self._note(self._make())

    def _make(self) -> str:
        raw = self.system.make()
        task_id = self.source.identify(raw) or ""
        self.fresh[task_id] = copy(raw)
        self.ids.append(task_id)
        return task_id

    def _note(self, task_id: str) -> None:
        """Remember how the task looks now, and the webhook that says so.

        What was announced before, and did not show until now, never will.
        """
        self.behind.pop(task_id, None)
        self.told.discard(task_id)
        self.rolled_back.discard(task_id)
        if task_id not in self.system.tasks:
            self.history[task_id].append(None)
            return
        if not self.is_dated:
            self.system.tasks[task_id].pop("updated_at", None)
        self.backups[task_id].append(copy(self.system.tasks[task_id]))
        whole = copy(self.system.whole(task_id))
        self.history[task_id].append(self._parsed(whole))
        self.sent[task_id].append(whole)

    def _parsed(self, raw: Raw) -> Any:
        now = self.taskbell.clock.now()
        seen = self.source.observe(self.source.trim(raw), now, Cause.POLL)
        return shown(orjson.loads(seen.task.to_json())) if seen.task else None

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
            self.system.reopen(task_id)
            self._note(task_id)

    async def delete_or_restore(self, task_id: str, _: int) -> None:
        if task_id in self.system.tasks:
            self.system.delete(task_id)
        else:
            self._restore(task_id)
        self._note(task_id)

    def _restore(self, task_id: str) -> None:
        self.changes += 1
        self.system.tasks[task_id] = copy(self.fresh[task_id])
        self.system.change(task_id, **{self.system.title: f"title {self.changes}"})

    async def make_and_finish(self, _: str, __: int) -> None:
        """There is a new task, and it is done before anybody looks."""
        task_id = self._make()
        self.system.finish(task_id)
        self._note(task_id)

    async def announce_early(self, task_id: str, number: int) -> None:
        """A webhook says by id what has happened; reads do not show it yet, or never will."""
        task = self.system.tasks.get(task_id)
        if task is None:
            await self._announce(task_id, partial(self._restore, task_id), "created")
        elif number < 2 and not self.history[task_id][-1]["done"]:
            await self._announce(task_id, partial(self.system.finish, task_id), "completed")
        else:
            await self._announce(task_id, partial(self.system.delete, task_id), "deleted")

    async def announce_a_new_one_early(self, _: str, __: int) -> None:
        """So, of a task that was made and finished, and of which there is nothing to be read."""
        task_id = self._make()
        del self.system.tasks[task_id]
        self._note(task_id)

        def make() -> None:
            self._restore(task_id)
            self.system.finish(task_id)

        await self._announce(task_id, make, "created", "completed")

    async def _announce(self, task_id: str, act: Callable[[], Any], *verbs: str) -> None:
        """Do this where reads do not show it, and say so; what is said is read at once."""
        before = self.system.tasks.get(task_id)
        old = None if before is None else copy(before)
        act()
        self.behind[task_id] = self.taskbell.clock.now(), self.system.tasks.pop(task_id, None)
        if old is not None:
            self.system.tasks[task_id] = old
        for verb in verbs:
            self.changes += 1
            body = {"event": f"task.{verb}", "data": {"id": task_id, "number": self.changes}}
            await self.taskbell.receive(body, self.account)
        await self.taskbell.ingest()
        await self.taskbell.look_up(self.account)

    async def what_was_announced_shows(self, _: str, which: int) -> None:
        """The copy of the system from which is read has caught up."""
        if not self.behind:
            return
        task_id, (since, raw) = list(self.behind.items())[which % len(self.behind)]
        self.system.tasks.pop(task_id, None)
        if raw is not None:
            self.system.tasks[task_id] = raw
        self._note(task_id)
        if self.taskbell.clock.now() - since < PATIENCE:
            self.told.add(task_id)

    async def restore_a_backup(self, task_id: str, back: int) -> None:
        """It is as it was, with the date that it had then; nobody is told."""
        backups = self.backups[task_id]
        if task_id in self.system.tasks:
            self.system.tasks[task_id] = copy(backups[max(0, len(backups) - 2 - back)])
            self._note(task_id)
            self.rolled_back.add(task_id)

    async def commit_late(self, task_id: str, minutes: int) -> None:
        """A change shows minutes after the moment that it is dated; a poll comes in between."""
        later = timedelta(minutes=1 + minutes)
        self.taskbell.clock.advance(later)
        await self.taskbell.poll(self.account)
        self.taskbell.clock.advance(-later)
        await self.change(task_id, minutes)
        self.taskbell.clock.advance(later)

    async def time_passes(self, _: str, minutes: int) -> None:
        self.taskbell.clock.advance(timedelta(minutes=2 + minutes))

    async def call_will_fail(self, _: str, __: int) -> None:
        self.system.faults.set(Fault(FaultKind.FAILED))

    async def hear(self, task_id: str, back: int) -> None:
        """A webhook comes and is read at once."""
        await self.whole_comes(task_id, back // 2)
        await self.taskbell.ingest()
        await self.taskbell.look_up(self.account)

    async def follow(self, task_id: str, number: int) -> None:
        """A webhook comes that says too little, and the task is read at once."""
        await self.hint_comes(task_id, number)
        await self.taskbell.ingest()
        await self.taskbell.look_up(self.account)

    async def whole_comes(self, task_id: str, back: int) -> None:
        sent = self.sent[task_id]
        if not sent:
            return
        body = {"data": sent[max(0, len(sent) - 1 - back)]}
        if task_id not in self.system.tasks:
            self.told.discard(task_id)  # a task that was never known is believed to be there
        elif not back and not await self._waits(body):
            self.told.add(task_id)
        await self.taskbell.receive(body, self.account)

    async def _waits(self, body: Any) -> bool:
        """Whether such a webhook came and was not read: it counts as of when it first came."""
        waits: bool = await self.taskbell.pool.fetchval(
            "SELECT EXISTS (SELECT FROM receipts WHERE state = 'pending' AND key = $1)",
            body_key(orjson.dumps(body)),
        )
        return waits

    async def part_comes(self, task_id: str, back: int) -> None:
        if not self.sent[task_id]:
            return
        self.told.add(task_id)
        sent = self.sent[task_id][max(0, len(self.sent[task_id]) - 1 - back)]
        part = {name: sent[name] for name in ("id", "uuid", self.system.title) if name in sent}
        await self.taskbell.receive({"event": "task.updated", "data": part}, self.account)

    async def hint_comes(self, task_id: str, number: int) -> None:
        self.told.add(task_id)
        await self.taskbell.receive({"id": task_id, "number": number}, self.account)

    async def deletion_comes(self, task_id: str, number: int) -> None:
        self.told.add(task_id)
        body = {"event": "task.deleted", "data": {"id": task_id, "number": number}}
        await self.taskbell.receive(body, self.account)

    async def ingest(self, _: str, __: int) -> None:
        await self.taskbell.ingest()

    async def look_up(self, _: str, __: int) -> None:
        await self.taskbell.look_up(self.account)

    async def looks_begin(self, task_id: str, is_due: int) -> None:
        """Tasks are read that somebody asked about; the answers are taken in later, or never."""
        pool, now = self.taskbell.pool, self.taskbell.clock.now()
        if not is_due:
            async with pool.acquire() as connection:
                await PostgresLookups(connection).ask([(self.account, task_id)], Cause.FETCH, now)
        for lookup in await lookups.claim(pool, self.account, uuid4(), now, 2):
            look = await self.taskbell.worker.lookups[self.account]._attempt(lookup)
            if look is not None:
                self.looks.append((lookup, look))

    async def look_ends(self, _: str, which: int) -> None:
        if self.looks:
            reader = self.taskbell.worker.lookups[self.account]
            await reader._take(*self.looks[which % len(self.looks)])

    async def pages_are_asked_for(self, _: str, __: int) -> None:
        with suppress(SourceError):
            self.pages += [page async for page in self.source.scan()]

    async def page_comes(self, _: str, which: int) -> None:
        if self.pages:
            page = self.pages[which % len(self.pages)]
            await self.taskbell.worker.polls[self.account]._take(page)

    async def poll(self, _: str, __: int) -> None:
        await self.taskbell.poll(self.account)

    async def scan(self, _: str, __: int) -> None:
        await self.taskbell.poll(self.account, full=True)

    async def read_webhooks(self) -> None:
        """What came in is read, and what it hints at; nobody looks at a list."""
        self.system.faults.clear()
        await self.taskbell.ingest()
        # What could not be read is tried again, and a breaker lets one call through at first.
        for _ in range(2):
            self.taskbell.clock.advance(REST)
            await self.taskbell.look_up(self.account)

    async def read_list(self, *, full: bool = False) -> None:
        """A poll, and what it wants to know more about."""
        self.taskbell.clock.advance(REST)
        await self.taskbell.poll(self.account, full=full)
        await self.taskbell.look_up(self.account)


def shown(task: Any) -> Any:
    """What of a task's JSON events are made of."""
    return None if task is None else {k: v for k, v in task.items() if k not in UNTOLD}


def every_system(url: str) -> str:
    """An account of every system, named like it, at the sandbox with this address."""
    return "\n".join(f"  {name}: {_options(name, url)}" for name in systems())


def _options(system: str, url: str) -> str:
    # Whole readings are for the test to order.
    given = {**sample(system, "account"), "full_scan": "9000h", "per_minute": 100000}
    del given["name"]
    there = {"system": system, "base_url": f"{url}/{system}", "poll": "60s", "timeout": "1s"}
    return orjson.dumps({**given, **there}).decode()
