"""The firm's day: its people, Taskbell's processes, and what goes wrong with them."""

import asyncio
import random as global_random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from service.config import Config
from service.store.receipts import body_key
from tests.simulation import firm
from tests.simulation.network import Delays, Network
from tests.simulation.office import Office
from tests.simulation.plan import OFFICE, WORKERS, Act, Step
from tests.simulation.processes import HostClock, Process, Web, WorkerProcess, World
from tests.simulation.receivers import Receiver
from tests.simulation.storage import Bystander, Pool, Storage
from tests.simulation.task_system import TaskSystem

_BEAT = 2.5  # seconds between two rounds of a worker, if anybody is to look
_WATCHED = 10.0  # of a longer wait only the end is made of rounds
_MOST_ROUNDS = 14
_UNTIL_REVIVED = 1.5  # seconds after which the supervisor has started a process again
_UNTIL_GIVEN_UP = 10.0  # seconds for which the sender of a webhook waits for the answer
# Of all rings of the doorbell so many are heard by a worker; the sweep finds what nobody has heard.
_HEARD = 0.5
_TOGETHER = 0.25  # of all rounds so many are made by all workers at the same moment

_IS_SENDING = "SELECT EXISTS (SELECT FROM deliveries WHERE state = 'sending') AS found"
_POLL_NOW = "UPDATE accounts SET next_poll_at = $1, scan_asked_at = $1"
_PRESENCE = "UPDATE accounts SET alive_at = $1, alive_until = $2"
_NEXT = """
    SELECT min(at) AS at FROM (
        SELECT min(next_attempt_at) AS at FROM deliveries WHERE state IN ('planned', 'held')
        UNION ALL SELECT min(lease_until) FROM deliveries WHERE state = 'sending'
        UNION ALL SELECT min(next_attempt_at) FROM lookups
        UNION ALL SELECT min(ends_at) FROM waits
        UNION ALL SELECT min(received_at) FROM receipts WHERE state = 'pending'
        UNION ALL SELECT greatest(next_poll_at, lease_until) FROM accounts
            WHERE scanned_at < $1) AS everything
"""


@dataclass(slots=True)
class Past:
    """What has happened, for the laws to judge.

    `acknowledged` has the keys of the receipts that were. `most_ahead` is how wrong a clock was at
    most, `longest_freeze` how long a process stood still.
    """

    system: TaskSystem
    receivers: dict[str, Receiver]
    journal: Any
    acknowledged: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    most_ahead: timedelta = timedelta(0)
    longest_freeze: timedelta = timedelta(0)
    rows: dict[str, list[Any]] = field(default_factory=dict)

    def note(self, says: str) -> None:
        at = asyncio.get_running_loop().time()
        self.trace.append(f"{at:10.3f}  {says}")
        self.journal.update(f"{at!r} {says}\n".encode())


class Day:
    """The firm and its processes, while a history takes place."""

    def __init__(self, storage: Storage, config: Config, seed: int) -> None:
        self.loop = asyncio.get_running_loop()
        self._storage = storage
        self._random = Random(f"{seed}: delays")  # noqa: S311 (it can be repeated)
        global_random.seed(seed)
        delays = Delays(self._random)
        self._network = Network(delays)
        self._clock = HostClock(self.loop)
        system = TaskSystem(self._clock)
        receivers = {name: Receiver(name, self._network, self._clock) for name in config.channels}
        self.past = Past(system, receivers, storage.journal)
        self._office = Office(system, self._take)
        self._world = World(config, storage, system, receivers, self._network, delays)
        self._person = Pool(storage, Bystander())
        self._processes: list[Process] = []
        self._started = 0

    async def begin(self, *, is_new: bool) -> None:
        """Start the processes; new ones tell the database what they are."""
        for _ in range(WORKERS):
            self._processes.append(await self._worker(is_new=is_new))
        self._processes.append(self._web())

    async def do(self, step: Step) -> None:
        """Let one step of the plan happen, and the time until the next one pass."""
        self.past.note(str(step))
        if step.act in OFFICE:
            self._office.do(step)
        else:
            await _ACTS[step.act](self, step)
        await asyncio.sleep(step.pause)
        await self._supervise()

    async def come_to_rest(self) -> None:
        """Trouble ends, and Taskbell gets the time to do what is left."""
        self.past.note("from now on nothing goes wrong")
        self._network.heal()
        self._storage.loses = False
        for process in self._processes:
            process.fuse = process.call_fuse = process.cut = None
        await self._supervise()
        frozen = max(process.frozen_until for process in self._processes)
        await asyncio.sleep(max(0.0, frozen - self.loop.time()))
        for process in self._processes:
            await self._set_clock(process, 0)
        # What a host has read with its clock ahead counts as newer than any look until then.
        await asyncio.sleep(self.past.most_ahead.total_seconds())
        await self._office.all_is_sent()
        begun_at = self._clock.now()
        await self._poll(Step(Act.POLL))
        for _ in range(_MOST_ROUNDS):
            await self._let_pass(_WATCHED + 2)
            if not await self._is_something_left(begun_at):
                return

    def end(self) -> None:
        for process in self._processes:
            process.kill()

    async def _worker(self, *, is_new: bool) -> WorkerProcess:
        self._started += 1
        process = WorkerProcess(f"worker {self._started}", self._world)
        await process.do(process.start(is_new=is_new))
        return process

    def _web(self) -> Web:
        self._started += 1
        return Web(f"web {self._started}", self._world, self._ring)

    def _ring(self, account: str) -> None:
        """The doorbell, which may be lost, and may be heard by several."""
        for process in self._processes:
            if isinstance(process, WorkerProcess) and self._random.random() < _HEARD:
                process.worker.ring("ingest", account)

    async def _take(self, body: bytes) -> bool:
        """Whether the web process acknowledges a webhook."""
        web = self._processes[WORKERS]
        if not isinstance(web, Web) or not web.is_alive:
            return False
        key = body_key(body)
        work = web.do(web.keep(firm.ACCOUNT, key, body))
        await asyncio.wait([work], timeout=_UNTIL_GIVEN_UP)
        if not work.done() or work.cancelled() or work.exception() is not None:
            return False
        self.past.acknowledged.append(key)
        self.past.note(f"receipt {work.result()} is acknowledged")
        return True

    async def _wait(self, step: Step) -> None:
        await self._let_pass(step.number)

    async def _poll(self, _: Step) -> None:
        """A person wants the whole account to be read."""
        await self._person.execute(_POLL_NOW, self._clock.now())
        await self._round(self._makers_of_rounds(), ticks=True)

    async def _kill(self, step: Step) -> None:
        self._processes[step.which].fuse = int(step.number)

    async def _kill_calling(self, step: Step) -> None:
        self._processes[step.which].call_fuse = int(step.number)

    async def _stop(self, step: Step) -> None:
        process = self._processes[step.which]
        if isinstance(process, WorkerProcess):
            await asyncio.wait([process.do(process.worker.stop())])
        process.kill()

    async def _freeze(self, step: Step) -> None:
        self._processes[step.which].frozen_until = self.loop.time() + step.number
        frozen = timedelta(seconds=step.number)
        self.past.longest_freeze = max(self.past.longest_freeze, frozen)

    async def _cut(self, step: Step) -> None:
        process = self._processes[step.which]
        process.cut, process.cut_before = int(step.number), step.act is Act.CUT_BEFORE

    async def _crash(self, _: Step) -> None:
        self._storage.crash()

    async def _lose(self, _: Step) -> None:
        self._storage.loses = True

    async def _spoil(self, step: Step) -> None:
        if step.fate is not None:
            self._network.spoil(step.host, step.fate, int(step.number))

    async def _change_clock(self, step: Step) -> None:
        await self._set_clock(self._processes[step.which], step.number)

    async def _set_clock(self, process: Process, ahead: float) -> None:
        """Set a host's clock; what its worker does each second it does under either."""
        if process.clock.ahead == timedelta(seconds=ahead):
            return
        for each in (process.clock.ahead, timedelta(seconds=ahead)):
            process.clock.ahead = each
            await self._round([process], ticks=False)
        self.past.most_ahead = max(self.past.most_ahead, abs(process.clock.ahead))

    async def _supervise(self) -> None:
        """Start again what has died."""
        for number, process in enumerate(self._processes):
            if process.is_alive:
                continue
            await asyncio.sleep(_UNTIL_REVIVED)
            self.past.note(f"{process.name} has died, and is started again")
            self._processes[number] = (
                self._web() if isinstance(process, Web) else await self._worker(is_new=True)
            )

    async def _let_pass(self, seconds: float) -> None:
        """Of a longer wait only the end is made of rounds, and more of them if somebody sends.

        So many of one worker are enough to see that another has died.
        """
        watched = min(seconds, _WATCHED)
        await asyncio.sleep(seconds - watched)
        await self._hear_from_workers()
        [sending] = self._storage.server.run(_IS_SENDING)
        rounds = max(1, int(watched / _BEAT)) if sending["found"] else 1
        making = self._makers_of_rounds()
        for number in range(rounds):
            await asyncio.sleep(watched / rounds)
            await self._round(making, ticks=number == rounds - 1)

    async def _hear_from_workers(self) -> None:
        """What they would have written down meanwhile: that they are there."""
        now = self._clock.now()
        await self._person.execute(_PRESENCE, now, now + timedelta(minutes=2))

    def _makers_of_rounds(self) -> Sequence[Process]:
        """One worker, or all of them."""
        if self._random.random() < _TOGETHER:
            return self._processes[:WORKERS]
        return [self._processes[self._random.randrange(WORKERS)]]

    async def _round(self, making: Sequence[Process], *, ticks: bool) -> None:
        """These workers make their round; the others do as they are told by the doorbell."""
        work = [
            process.do(process.round(ticks=ticks))
            for process in making
            if isinstance(process, WorkerProcess) and process.is_alive
        ]
        if work:
            await asyncio.wait(work, timeout=_BEAT)
        for one in work:
            if one.done() and not one.cancelled() and (error := one.exception()) is not None:
                self.past.crashes.append(repr(error))

    async def _is_something_left(self, begun_at: datetime) -> bool:
        """Whether anything is still to be done; if so, after the time that it waits.

        A reading of the whole account since then is part of it.
        """
        [row] = self._storage.server.run(_NEXT, begun_at)
        if row["at"] is None:
            return False
        await asyncio.sleep(max(0.0, (row["at"] - self._clock.now()).total_seconds()))
        return True


_ACTS: Mapping[Act, Callable[[Day, Step], Awaitable[None]]] = {
    Act.WAIT: Day._wait,
    Act.POLL: Day._poll,
    Act.KILL: Day._kill,
    Act.KILL_CALLING: Day._kill_calling,
    Act.STOP: Day._stop,
    Act.FREEZE: Day._freeze,
    Act.CUT_BEFORE: Day._cut,
    Act.CUT_AFTER: Day._cut,
    Act.CRASH: Day._crash,
    Act.LOSE: Day._lose,
    Act.CLOCK: Day._change_clock,
    Act.SPOIL: Day._spoil,
}
