"""A dry run of rules: the real engine on a transaction in memory, and a clock moved by hand.

`taskbell test`, `backtest` and `next` are made of it. Nothing is ever sent: a delivery whose time
has come is marked as sent. At each moment things happen in the order in which a worker does them:
alarms ring, rules that waited decide, digests are told, schedules come, deliveries go out.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from service.channels import Channel
from service.clock import VirtualClock
from service.domain.directory import NOBODY, Directory
from service.domain.model import Cause, Observation, Signal, Task
from service.domain.silences import Silence
from service.engine import Engine
from service.engine.decider import Decider
from service.rules import Ruleset
from service.simulator.memory.transaction import MemoryTransaction
from service.store.accounts import AccountState
from service.store.tasks import Key, TaskState, TaskUpdate

_ALL = 1_000_000_000


class Simulator:
    """Rules, tasks and a clock. Afterwards `tx` has everything that came of them.

    `ways` are the channels that rules can send by, by name. `silenced` are the silences in force
    meanwhile: those are an operator's decision and no part of the rules. `people` fills in what
    tasks do not tell of people.
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
        """The accounts that it has; tasks of others are none of its business."""
        return self._zones.keys()

    async def begin(self, seen: Sequence[Observation]) -> None:
        """Take up tasks in silence, as if they had been known all along: no rule is asked."""
        await self._engine.import_silently(self.tx, seen)

    async def observe(self, seen: Sequence[Observation]) -> None:
        """Take in looks at tasks now, and send what that makes due."""
        await self._engine.observe(self.tx, seen)
        await self._send()

    async def adopt_alarms(self, present: Iterable[tuple[str, TaskState]]) -> None:
        """Go on with tasks (account, state) as Taskbell at work knows them, and their alarms."""
        known = {(account, one.task.id): one for account, one in present if one.task is not None}
        await self._engine.adopt_alarms(self.tx, known)

    async def remember(
        self, states: Iterable[tuple[Key, Task | None]], lost: Mapping[Key, Task]
    ) -> None:
        """Correct the known states of tasks without any event; None for one that is not there.

        For changes that left nothing on record: the next one that did shows how the task looked,
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

    async def hear(self, signals: Sequence[Signal]) -> None:
        """Take in signals now, and send what they make due."""
        await self._engine.take_signals(self.tx, signals)
        await self._send()

    async def go_on(self, until: datetime) -> None:
        """Move the clock to `until` (aware), stopping at each moment at which something is due."""
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
