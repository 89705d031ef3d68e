"""The simulator: the real engine on a transaction in memory, with a clock that is set by hand.

`taskbell test`, `backtest` and `next` use it. Nothing is ever sent: a delivery that is due is
marked as sent. At each time, work is done in the same order as by a worker: alarms fire, waiting
rules decide, digests are closed, schedules fire, deliveries are sent.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from service.channels import Channel
from service.clock import VirtualClock
from service.domain.directory import NOBODY, Directory
from service.domain.model import (
    Cause,
    Observation,
    Task,
)
from service.domain.operators.silences import Silence
from service.domain.signals import Signal
from service.engine import Engine
from service.engine.decider import Decider
from service.rules.ruleset import Ruleset
from service.simulator.memory.transaction import MemoryTransaction
from service.store.accounts import AccountState
from service.store.tasks import Key, TaskState, TaskUpdate

_ALL = 1_000_000_000


class Simulator:
    """Rules, tasks and a clock. Afterwards `tx` has all the results.

    `ways` are the channels that rules can use, by name. `silenced` are the silences that are active
    meanwhile: they are an operator's decision, not part of the rules. `people` adds details of
    people that tasks lack.
    """

    def __init__(
        self,
        rules: Ruleset,
        zones: Mapping[str, ZoneInfo],
        ways: Mapping[str, type[Channel]],
        start: datetime,
        silenced: Sequence[Silence] = (),
        people: Directory = NOBODY,
    ) -> None:
        self._people = people
        self._rules = rules
        self._zones = zones
        self.clock = VirtualClock(start)
        self.tx = MemoryTransaction(_accounts(zones, self.clock.now()), silenced)
        self._engine = Engine(Decider(rules, zones, ways), zones, self.clock, people=self._people)
        self.tx.schedules.put_in_force(self._engine.schedules, self.clock.now())

    @property
    def accounts(self) -> Collection[str]:
        """The accounts of the simulation; tasks of other accounts are ignored."""
        return self._zones.keys()

    async def begin(self, seen: Sequence[Observation]) -> None:
        """Import tasks silently, as if they had always been known: no rule is evaluated."""
        await self._engine.import_silently(self.tx, seen)

    async def observe(self, seen: Sequence[Observation]) -> None:
        """Process observations of tasks now, and send what becomes due."""
        await self._engine.observe(self.tx, seen)
        await self._send()

    async def adopt_alarms(self, present: Iterable[tuple[str, TaskState]]) -> None:
        """Continue with tasks (account, state) of the running Taskbell, and their alarms."""
        known = {(account, one.task.id): one for account, one in present if one.task is not None}
        await self._engine.adopt_alarms(self.tx, known)

    async def remember(
        self, states: Iterable[tuple[Key, Task | None]], lost: Mapping[Key, Task]
    ) -> None:
        """Correct the known states of tasks without any event; None for a deleted task.

        For changes that are not recorded: the next recorded one shows the state of the task then,
        and whether it was `lost`.
        """
        filled = [(key, task and self._people.filled(task)) for key, task in states]
        other = [
            (key, task) for key, task in filled if key in lost or self.tx.tasks.current(key) != task
        ]
        now = self.clock.now()
        gone = [
            TaskUpdate(key, TaskState(lost.get(key), deleted_at=now, observed_at=now))
            for key, task in other
            if task is None
        ]
        await self.tx.tasks.save(gone)
        there = [(key, task) for key, task in other if task is not None]
        if there:
            await self.begin([Observation(*key, task, now, Cause.POLL) for key, task in there])

    async def take_signals(self, signals: Sequence[Signal]) -> None:
        """Process signals now, and send what becomes due."""
        await self._engine.take_signals(self.tx, signals)
        await self._send()

    async def go_on(self, until: datetime) -> None:
        """Move the clock to `until` (aware), stopping whenever something is due."""
        while (moment := self.tx.next_moment()) is not None and moment <= until:
            self.clock.set(max(moment, self.clock.now()))
            await self._engine.fire_alarms(self.tx, _ALL)
            await self._engine.finish_waits(self.tx, _ALL)
            await self._engine.close_digests(self.tx, _ALL)
            while (await self._engine.fire_schedule(self.tx))[0]:
                pass
            await self._send()
        self.clock.set(max(until, self.clock.now()))

    async def _send(self) -> None:
        await self.tx.send(self._rules, self._zones, self.clock.now())


def _accounts(names: Iterable[str], now: datetime) -> dict[str, AccountState]:
    """Accounts whose first sync is complete."""
    return {
        name: AccountState(
            name, added_at=now, baseline_at=now, scanned_at=None, watermark=None, failures=0
        )
        for name in names
    }
