"""Deliveries in progress: renews their leases and stores their results."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import asyncpg
import orjson
import structlog

from service import metrics
from service.clock import Clock
from service.domain.model import State
from service.outbox import LEASE, attempts
from service.outbox.claims import AttemptResult, Claim
from service.store import DATABASE_ERRORS, Pool

log = structlog.get_logger()

_PAUSE_WITHOUT_DATABASE = 1.0  # seconds
_GATHERING = 0.01  # seconds for which an answer waits for others to be written down with it


class InFlight:
    """The deliveries that one lane has claimed, up to `capacity` of them.

    Each result is stored as it arrives, without waiting for the others; then `on_stored` is called
    with it. More are claimed only when there is room for at least `worth_claiming`.
    """

    def __init__(
        self,
        lane: str,
        pool: Pool,
        clock: Clock,
        capacity: int,
        worth_claiming: int,
        on_stored: Callable[[AttemptResult], None],
    ) -> None:
        self._on_stored = on_stored
        self._lane = lane
        self._pool = pool
        self._clock = clock
        self._capacity = capacity
        self._worth_claiming = worth_claiming
        self._in_hand: set[int] = set()
        self._answers: list[AttemptResult] = []
        self._changed = asyncio.Condition()
        self._answered = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def room(self) -> int:
        """Wait until claiming is worthwhile; returns how many deliveries can be claimed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.free >= self._worth_claiming)
        return self.free

    @property
    def free(self) -> int:
        """How many more deliveries can be in progress; below 0 if there are too many."""
        return self._capacity - len(self._in_hand)

    async def empty(self) -> None:
        """Wait until no delivery is in progress."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._in_hand)

    def enter(self, claims: Iterable[Claim]) -> None:
        """Add claimed deliveries."""
        self._in_hand.update(claim.id for claim in claims)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())

    def answer(self, settlement: AttemptResult) -> None:
        """Pass a result to be stored; until it is, the delivery counts as in progress."""
        self._answers.append(settlement)
        self._answered.set()

    async def _keep(self) -> None:
        """Renew leases and store results for as long as any delivery is in progress."""
        leases = asyncio.create_task(self._keep_leases())
        try:
            while self._in_hand:
                await self._answered.wait()
                await asyncio.sleep(_GATHERING)
                self._answered.clear()
                answers, self._answers = self._answers, []
                await self._write(answers)
                await self._remove(answers)
                for one in answers:
                    self._on_stored(one)
        finally:
            leases.cancel()

    async def _keep_leases(self) -> None:
        """Renew them in time; retried soon after a failure, or others regard them as expired."""
        pause = interval = LEASE.total_seconds() / 3
        while True:
            await asyncio.sleep(pause)
            try:
                await attempts.renew(self._pool, list(self._in_hand), self._clock)
                pause = interval
            except DATABASE_ERRORS as error:
                log.warning("delivery.lease_not_renewed", lane=self._lane, error=str(error))
                pause = _PAUSE_WITHOUT_DATABASE

    async def _remove(self, answers: Iterable[AttemptResult]) -> None:
        async with self._changed:
            self._in_hand.difference_update(one.claim.id for one in answers)
            self._changed.notify_all()

    async def _write(self, answers: Sequence[AttemptResult]) -> None:
        """Store results, however long the database is unavailable: they exist nowhere else."""
        while True:
            try:
                await attempts.settle(self._pool, answers, self._clock.now())
            except (asyncpg.DataError, orjson.JSONEncodeError) as error:
                return await self._write_singly(answers, error)
            except DATABASE_ERRORS as error:
                # Whatever it is: a ledger that gave up would keep what it has for ever.
                log.warning("delivery.unsettled", lane=self._lane, error=str(error))
                await asyncio.sleep(_PAUSE_WITHOUT_DATABASE)
            else:
                return _report(answers)

    async def _write_singly(self, answers: Sequence[AttemptResult], error: Exception) -> None:
        """Store a result that the database rejects without its details."""
        if len(answers) > 1:
            for one in answers:
                await self._write([one])
        else:
            reason = f"the answer cannot be stored: {error}"
            told = replace(answers[0], reason=reason, receipt=None, attempt=None)
            await self._write([told])


def _report(answers: Sequence[AttemptResult]) -> None:
    ended = Counter((one.claim.message.channel, one.state) for one in answers)
    for (channel, state), count in ended.items():
        metrics.deliveries.labels(channel, state).inc(count)
    for one in answers:
        log.info(
            "delivery.attempted",
            delivery=one.claim.id,
            channel=one.claim.message.channel,
            state=one.state,
            attempt=one.claim.attempts,
            # Of what was sent it says how the task has changed, which is the customer's own.
            reason=None if one.state is State.SENT else one.reason,
        )
