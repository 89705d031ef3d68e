"""Taskbell at work on the tasks of one account, in one transaction and on a virtual clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from service.channels import ways
from service.clock import VirtualClock
from service.config import Config
from service.domain.model import (
    Cause,
    Observation,
    State,
    Task,
)
from service.domain.signals import Signal
from service.engine import Engine
from service.engine.decider import Decider
from service.engine.postgres import PostgresTransaction
from service.outbox import account_lane, attempts, claiming, writes_lane
from service.outbox.claims import AttemptResult, Claim
from service.rules.message_basis import MessageBasis
from service.rules.revision import Rejection, RevisedMessage, objection, superseded
from service.rules.rewriting import NewText, rewriting
from service.store import Connection, Pool, schedules
from tests.harness.records import Record, record

ACCOUNT = "field"


@dataclass(frozen=True, slots=True)
class Step:
    """Time goes by; then the process may be a new one, and a task looks different or is gone.

    Or something is pushed about it, and it looks as it did.
    """

    pause: timedelta
    task_id: str
    task: Task | None
    restart: bool
    signal: str | None = None


def look_of(step: Step, now: datetime) -> Observation:
    task = step.task and replace(step.task, id=step.task_id, account=ACCOUNT, updated_at=None)
    return Observation(ACCOUNT, step.task_id, task, now, Cause.POLL)


def signal_of(step: Step, now: datetime) -> Signal:
    return Signal(ACCOUNT, step.task_id, step.signal or "", now)


class Live:
    """Taskbell at work in PostgreSQL, inside one transaction that is rolled back."""

    def __init__(self, config: Config, connection: Connection, clock: VirtualClock) -> None:
        self._config = config
        self._connection = connection
        self._clock = clock
        self._tx = PostgresTransaction(connection)
        self._begin()

    async def restart(self) -> None:
        """End the process, and begin another one with the same rules."""
        self._begin()
        wanted = self._engine.schedules
        await schedules.put_in_force(self._connection, [ACCOUNT], wanted, self._clock.now())

    def _begin(self) -> None:
        zones = {ACCOUNT: self._config.timezone}
        decider = Decider(self._config.rules, zones, ways(self._config.kinds))
        self._engine = Engine(decider, zones, self._clock)

    async def take(self, step: Step) -> None:
        now = self._clock.now()
        if step.signal is None:
            await self._engine.observe(self._tx, [look_of(step, now)])
        else:
            await self._engine.take_signals(self._tx, [signal_of(step, now)])
        await self._send()

    async def go_on(self, until: datetime) -> None:
        """Come to every moment at which something is to be done, as the loops would."""
        last = None
        while (moment := await self._next_moment()) is not None and moment <= until:
            assert moment != last, f"at {moment} something is to be done that nobody does"
            last = moment
            self._clock.set(max(moment, self._clock.now()))
            while (await self._engine.fire_alarms(self._tx, 100))[0]:
                pass
            while (await self._engine.finish_waits(self._tx, 100))[0]:
                pass
            while (await self._engine.close_digests(self._tx, 100))[0]:
                pass
            while (await self._engine.fire_schedule(self._tx))[0]:
                pass
            await self._send()
        self._clock.set(until)

    async def _next_moment(self) -> datetime | None:
        moment: datetime | None = await self._connection.fetchval(
            """
            SELECT least((SELECT min(next_alarm) FROM tasks), (SELECT min(ends_at) FROM waits),
                         (SELECT min(closes_at) FROM digests), (SELECT min(next_at) FROM schedules),
                         (SELECT min(next_attempt_at) FROM deliveries))
            """
        )
        return moment

    async def _send(self) -> None:
        pool = cast("Pool", self)
        for lane in (*self._config.channels, account_lane(ACCOUNT), writes_lane(ACCOUNT)):
            while claims := await claiming.claim(
                pool, lane, self._clock, 100, self._config.rules, self._config.zones
            ):
                sent = [await self._outcome(claim) for claim in claims]
                await attempts.settle(pool, sent, self._clock.now())

    async def _outcome(self, claim: Claim) -> AttemptResult:
        """It is sent, if its task stands: what is known of that is what its system would say."""
        found = None if claim.grounds is None else await self._checked(claim.grounds)
        if isinstance(found, Rejection):
            return AttemptResult(claim, found.state, found.reason, is_unsent=True)
        if found is not None:
            await attempts.rewrite(self._connection, claim.id, found)
        return AttemptResult(claim, State.SENT, None if found is None else found.reason)

    async def _checked(self, grounds: MessageBasis) -> Rejection | NewText | None:
        """The objection to a customer message, or its new text; as in the worker."""
        key, now = (grounds.event.account, grounds.event.task_id), self._clock.now()
        task = (await self._tx.tasks.present([key])).get(key)
        rules, zone = self._config.rules, self._config.timezone
        if (against := objection(grounds, task, rules, now, zone)) is not None:
            return against
        found = None
        if await attempts.is_followed(self._connection, grounds):
            found = superseded(grounds, task)
        revised = found or rewriting(grounds, task, rules, now, zone)
        return revised.objection if isinstance(revised, RevisedMessage) else revised

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """The one connection there is: this stands in for the pool that `sending` asks."""
        yield self._connection

    async def record(self) -> Record:
        decided = await self._connection.fetch(
            'SELECT event, rule, rules_version, outcome, reason, group_key AS "group", at'
            " FROM decisions"
        )
        sent = await self._connection.fetch(
            """
            SELECT event, rule, step, once_key, channel, target, text, subject, fields, state,
                   reason, created_at, settled_at, expires_at, shadow, on_fail,
                   updates IS NOT NULL AS rewrites
            FROM deliveries
            """
        )
        first = await self._connection.fetchval("SELECT min(id) - 1 FROM events") or 0
        return record(first, decided, sent)
