"""The processes of Taskbell: workers, and the web process that takes webhooks.

They run the real code on a simulated pool, clock and network. One can be killed whenever it waits
for anything; what it has sent by then arrives, and nothing else of it does.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from service import doorbell
from service.channels import ways
from service.config import Config
from service.engine import Engine
from service.engine.decider import Decider
from service.outbox.approvals import DeliveryLinks
from service.settings import Settings
from service.sources import systems
from service.store import DATABASE_GONE
from service.store.receipts import Receipt, ReceiptKeeper
from tests.simulation.firm import BEGIN
from tests.simulation.network import Delays, Network, running_in
from tests.simulation.receivers import Receiver, channels
from tests.simulation.storage import Pool, Storage
from tests.simulation.task_system import TaskSystem, Upstream
from workers import wiring
from workers.alerts import Alerts
from workers.clock_tick import ClockRound
from workers.heartbeat import Heartbeat
from workers.ingest import Ingest
from workers.lookup import Lookups
from workers.poll import Poll
from workers.worker import Worker, _begin

_LINKS = DeliveryLinks("", None)
_SETTINGS = Settings()


_IS_DUE = """
    SELECT EXISTS (SELECT FROM tasks WHERE next_alarm <= $1)
        OR EXISTS (SELECT FROM waits WHERE ends_at <= $1)
        OR EXISTS (SELECT FROM tasks JOIN accounts ON name = account
                   WHERE tasks.watch <> accounts.watch) AS found
"""


class HostClock:
    """The clock of one host, which is `ahead` of the simulated time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self._loop.time()) + self.ahead


@dataclass(frozen=True, slots=True)
class World:
    """What all processes share."""

    config: Config
    storage: Storage
    system: TaskSystem
    receivers: dict[str, Receiver]
    network: Network
    delays: Delays


class Killed(asyncio.CancelledError):
    """The process is gone, and with it whatever it was about to do."""


class Process:
    """One operating-system process: its tasks, and its ways to everybody else.

    - `fuse`: after so many more waits it is killed
    - `call_fuse`: after so many more calls it is killed, before it has the answer
    - `cut`: after so many more statements its connection breaks, `cut_before` they are carried out
      or after that
    - `frozen_until`: it stands still, in simulated seconds
    """

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.loop = asyncio.get_running_loop()
        self.clock = HostClock(self.loop)
        self.pool: Any = Pool(world.storage, self)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.is_alive = True
        self.fuse: int | None = None
        self.call_fuse: int | None = None
        self.cut: int | None = None
        self.cut_before = True
        self.frozen_until = 0.0
        self._context = copy_context()
        self._context.run(running_in.set, self)

    def do(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let it do something beside everything else."""
        return self.loop.create_task(work, context=self._context)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.is_alive = False
        self.world.storage.leave(self)
        for task in list(self.tasks):
            task.cancel()

    async def send(self) -> None:
        await self.wait(self.world.delays.of_statement())

    async def wait(self, seconds: float) -> None:
        self._live_on()
        if seconds:
            await asyncio.sleep(seconds)
        while (rest := self.frozen_until - self.loop.time()) > 0:
            await asyncio.sleep(rest)
        self._live_on()

    async def wait_for_answer(self, seconds: float) -> None:
        if self.call_fuse is None:
            return await self.wait(seconds)
        self.call_fuse -= 1
        await self.wait(seconds)
        if self.call_fuse < 0:
            self.call_fuse = None
            self.kill()
            raise Killed
        return None

    async def receive(self) -> None:
        self._live_on()

    def is_cut(self, *, before: bool) -> bool:
        if self.cut is None or before is not self.cut_before:
            return False
        self.cut = self.cut - 1 if self.cut else None
        return self.cut is None

    def _live_on(self) -> None:
        """Raise Killed if it is dead, or dies now."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                self.kill()
        if not self.is_alive:
            raise Killed


class Web(Process):
    """The process that takes webhooks; `ring` wakes up a worker."""

    def __init__(self, name: str, world: World, ring: Any) -> None:
        super().__init__(name, world)
        self._keeper = ReceiptKeeper(self.pool, ring)

    async def keep(self, account: str, key: str, body: bytes) -> int:
        """The number of the receipt, once it is stored."""
        receipt = Receipt((account, key), body, {}, self.clock.now())
        return await self._keeper.keep(receipt)


class AttentiveWorker(Worker):
    """A worker whose timers are not asked while nothing is due: that would be most of the time."""

    is_anything_due: Callable[[], bool]

    def ring(self, *bell: str) -> None:
        if bell != (doorbell.CLOCK,) or self.is_anything_due():
            super().ring(*bell)

    def go_on(self) -> None:
        """Run the loops of a worker that has been there for long: it has nothing left to do."""
        for loop in self._loops.values():
            _begin(loop.run(), self._running)


class WorkerProcess(Process):
    """A process with one worker, whose loops run; its rounds are made by the simulation."""

    worker: AttentiveWorker

    async def start(self, *, is_new: bool) -> None:
        """Start its worker; a new one tells the database of its configuration, as any does."""
        config, world = self.world.config, self.world
        upstream: Any = Upstream(world.system, world.network, self.clock)
        sources = {
            name: systems()[one.system](one, upstream) for name, one in config.accounts.items()
        }
        if is_new:
            engine = await wiring.open_engine(self.pool, config, self.clock)
        else:
            decider = Decider(config.rules, config.zones, ways(config.kinds))
            engine = Engine(decider, config.zones, self.clock, people=config.people)
        sent_by = channels(config, world.receivers)
        lanes = wiring._lanes(
            config, sent_by, sources, sources, self.pool, self.clock, _LINKS, engine
        )
        pool, clock = self.pool, self.clock
        direct = partial(wiring.direct_claims, config, lanes)
        self.worker = AttentiveWorker(
            settings=_SETTINGS,
            pool=pool,
            clock=clock,
            ingests={
                name: Ingest(pool, engine, one, clock, direct) for name, one in sources.items()
            },
            clock_round=ClockRound(pool, engine),
            lookups_of={name: Lookups(pool, engine, one, clock) for name, one in sources.items()},
            polls={name: Poll(pool, engine, one, clock) for name, one in sources.items()},
            lanes=lanes,
            alerts=Alerts(pool, clock, sources, None),
            presence=Heartbeat(pool, clock, config.accounts),
            overrides={},
        )
        self.worker.is_anything_due = self._is_anything_due
        if is_new:
            self.worker.start()
        else:
            self.worker.go_on()

    def _is_anything_due(self) -> bool:
        [row] = self.world.storage.server.run(_IS_DUE, self.clock.now())
        return bool(row["found"])

    async def round(self, *, ticks: bool) -> None:
        """What a worker does each second, and some of what it does more rarely."""
        for work in [self.worker.sweep, *([self.worker.tick] if ticks else ())]:
            try:
                await work()
            except DATABASE_GONE:
                continue


def collect_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop note with each process the tasks that run in it."""

    def make(
        loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        context = options.get("context")
        process = running_in.get() if context is None else context.get(running_in)
        if isinstance(process, Process):
            process.tasks.add(task)
            task.add_done_callback(process.tasks.discard)
        return task

    loop.set_task_factory(partial(make))
