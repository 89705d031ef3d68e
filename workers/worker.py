"""All loops of a worker process, and which loop wakes up which.

There is one work loop per kind of work: each account's receipts and lookups, each lane of the
outbox, the timers. A loop that has created work for another one wakes it up directly; the doorbell
and the sweep do so from outside.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from service import doorbell, metrics
from service.clock import Clock
from service.domain.operators.overrides import Override
from service.doorbell import Bell
from service.maintenance import clock_repair, clock_sync, empty_storms, prune
from service.outbox import attempts, destinations, removal
from service.settings import Settings
from service.store import DATABASE_GONE, Pool, accounts, lookups
from service.store.accounts import AccountState
from service.store.operators import rule_overrides
from service.telemetry import tracing
from workers.alerts import Alerts
from workers.clock_tick import ClockRound
from workers.heartbeat import Heartbeat
from workers.ingest import Ingest
from workers.lookup import Lookups
from workers.poll import LEASE, Poll
from workers.sender import LaneSender
from workers.work_loop import WorkLoop

log = structlog.get_logger()

# Seconds after which a stop breaks off what is being sent, and those in which it is written down.
_TIME_TO_ANSWER, _TIME_TO_FINISH = 20.0, 25.0
_TIME_TO_GIVE_BACK = 1.0
# Seconds between two signs of life of a poll, which also say how far it is and hear of a pause.
_SIGN_OF_LIFE = 2.0


def process_name() -> str:
    """A name that distinguishes this process from others of the same and of other hosts."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Worker:
    """One running worker for the accounts and lanes of one configuration."""

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        clock: Clock,
        ingests: Mapping[str, Ingest],
        clock_round: ClockRound,
        lookups_of: Mapping[str, Lookups],
        polls: Mapping[str, Poll],
        lanes: Iterable[LaneSender],
        alerts: Alerts,
        presence: Heartbeat,
        overrides: Mapping[str, Override],
    ) -> None:
        self._overrides = overrides
        self._presence = presence
        self._settings = settings
        self._pool = pool
        self._clock = clock
        self._swept_at = clock.now()
        self._sweeper = prune.Pruner(pool, clock)
        self._ingests = ingests
        self._clock_round = clock_round
        self._lookups_of = lookups_of
        self._polls = polls
        self._alerts = alerts
        self._lanes = list(lanes)
        self._lanes_by_name = {lane.name: lane for lane in self._lanes}
        self._loops: dict[Bell, WorkLoop] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._polling: set[asyncio.Task[None]] = set()
        self._was_active = False
        self._add(self._clock_batch, doorbell.CLOCK)
        for account in ingests:
            self._add(self._ingest_batch(account), doorbell.INGEST, account)
        for account in lookups_of:
            self._add(self._lookup_batch(account), doorbell.LOOKUP, account)
        for lane in self._lanes:
            self._add(lane.batch, doorbell.DELIVER, lane.name)
            lane.set_wake_up(partial(self.ring, doorbell.DELIVER, lane.name))

    def start(self) -> None:
        """Start to work; every loop first checks for work that an earlier process left."""
        for loop in self._loops.values():
            _begin(loop.run(), self._running)
            loop.ring()

    async def stop(self) -> None:
        """Finish claimed deliveries, abort reads, which can be repeated, and start nothing new."""
        for loop in self._loops.values():
            loop.stop()
        for poll in self._polling:
            poll.cancel()
        finishing: set[asyncio.Task[None]] = set()
        for lane in self._lanes:
            _begin(lane.finish(_TIME_TO_ANSWER), finishing)
        busy = self._running | self._polling | finishing
        _, late = await asyncio.wait(busy, timeout=_TIME_TO_FINISH)
        for task in late:
            task.cancel()
        await self._give_back()

    async def _give_back(self) -> None:
        """Give back what was claimed in a transaction that was open until now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_TIME_TO_GIVE_BACK):
                for lane in self._lanes:
                    await lane.rest()

    def ring(self, *bell: str) -> None:
        """Wake up the work loop of this name; an unknown name is not an error."""
        if (loop := self._loops.get(bell)) is not None:
            loop.ring()

    def was_active(self) -> bool:
        """Whether it has done anything since this was last asked."""
        found, self._was_active = self._was_active, False
        return found

    async def tick(self) -> None:
        """Each second: wake up the timers, the polls that are due, and work that is due by now."""
        self.ring(doorbell.CLOCK)
        now = self._clock.now()
        for state in await accounts.claim_due(self._pool, self._polls, now, LEASE):
            _begin(self._poll(state), self._polling)
        lanes = [lane.name for lane in self._lanes]
        self._wake_lanes(await attempts.lanes_due(self._pool, lanes, now))
        outages = await destinations.outages(self._pool)
        self._wake_lanes(one.name for one in self._lanes if one.learn(outages.get(one.name)))
        for account in await lookups.accounts_due(self._pool, self._lookups_of, now):
            self.ring(doorbell.LOOKUP, account)

    async def sweep(self) -> None:
        """Each second: find work without a wake-up, and work that a dead process or clock left."""
        now = self._clock.now()
        if now < self._swept_at - clock_repair.TOLERANCE:
            await clock_repair.correct(self._pool, now)
        self._swept_at = now
        waiting, lanes = await self._sweeper.unanswered(self._ingests)
        for account in waiting:
            self.ring(doorbell.INGEST, account)
        self._wake_lanes(lanes)
        await empty_storms.end(self._pool, now)

    async def is_outdated(self) -> bool:
        """Whether a person has switched a rule since this worker was started."""
        return await rule_overrides.read(self._pool) != self._overrides

    async def publish(self) -> None:
        """Every few seconds: publish the metrics of this process."""
        await metrics.publish(self._pool)

    async def send_alerts(self) -> None:
        """Every few seconds: alert the operator about accounts that fail or work again."""
        self._wake_lanes(await self._alerts.batch())

    async def renew(self) -> None:
        """Every few seconds: correct the clock, and send the heartbeats of worker and rules."""
        await clock_sync.correct(self._pool, self._clock)
        await self._presence.note()
        await self._clock_round.renew()
        lanes = [lane.name for lane in self._lanes]
        await removal.announce_lanes(self._pool, process_name(), lanes, self._clock.now())

    async def prune(self) -> None:
        """Every minute: delete a few old rows, and cancel orphaned deliveries."""
        await removal.cancel_orphans(self._pool, self._clock.now())
        await prune.prune(self._pool, self._settings, self._clock.now())

    def _add(self, batch: Callable[[], Awaitable[bool]], *bell: str) -> None:
        async def noted() -> bool:
            found = await batch()
            # A lane is woken up when a message was sent, and may have nothing more to send.
            self._was_active |= found or bell[0] == doorbell.DELIVER
            return found

        self._loops[bell] = WorkLoop(":".join(bell), noted)

    def _wake_lanes(self, lanes: Iterable[str]) -> None:
        for lane in lanes:
            self.ring(doorbell.DELIVER, lane)

    def _ingest_batch(self, account: str) -> Callable[[], Awaitable[bool]]:
        async def batch() -> bool:
            done = await self._ingests[account].batch()
            for lane, claims in done.claims.items():
                self._lanes_by_name[lane].begin(claims)
            if done.hinted:
                self.ring(doorbell.LOOKUP, account)
            self._wake_lanes(done.lanes)
            await self._ingests[account].note_webhook(done.told_at)
            return done.count > 0

        return batch

    async def _clock_batch(self) -> bool:
        count, lanes = await self._clock_round.batch()
        self._wake_lanes(lanes)
        return count > 0

    def _lookup_batch(self, account: str) -> Callable[[], Awaitable[bool]]:
        async def batch() -> bool:
            count, lanes = await self._lookups_of[account].batch()
            self._wake_lanes(lanes)
            return count > 0

        return batch

    async def _poll(self, state: AccountState) -> None:
        """Poll an account under its lease, which is released in any case."""
        reading = asyncio.create_task(self._read(state))
        keeping = asyncio.create_task(_keep_lease(self._polls[state.name], state, reading))
        try:
            await reading
        finally:
            keeping.cancel()
            with suppress(*DATABASE_GONE):
                await accounts.release(self._pool, state)

    async def _read(self, state: AccountState) -> None:
        poll = self._polls[state.name]
        try:
            with tracing.span("poll", account=state.name):
                async for lanes in poll.run(state):
                    self._wake_lanes(lanes)
            self.ring(doorbell.LOOKUP, state.name)
            self._was_active = True
        except DATABASE_GONE as error:
            log.warning("poll.waits_for_the_database", account=state.name, error=str(error))
        except Exception as error:  # the edge of the worker: the account is polled again
            log.exception("poll.crashed", account=state.name)
            with suppress(*DATABASE_GONE):
                await poll.crash(state, error)


async def _keep_lease(poll: Poll, state: AccountState, reading: asyncio.Task[None]) -> None:
    """Renew an account's lease for as long as its poll takes; abort a poll that lost it."""
    is_held = True
    while is_held:
        await asyncio.sleep(_SIGN_OF_LIFE)
        with suppress(*DATABASE_GONE):
            is_held = await poll.keep_lease(state)
    log.info("poll.broken_off", account=state.name)
    reading.cancel()


def _begin(work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
    task = asyncio.create_task(work)
    among.add(task)
    task.add_done_callback(among.discard)
