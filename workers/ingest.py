"""Processes what came in for an account: webhook receipts, and acknowledgements of people.

Receipts are processed in batches: read, passed to the engine, and marked as done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from service.clock import Clock
from service.domain.model import (
    Cause,
    Kind,
)
from service.domain.signals import Signal
from service.engine import Engine
from service.engine.effects import Effects
from service.engine.postgres import PostgresTransaction
from service.http.json_body import aside
from service.outbox import Lanes
from service.outbox.claims import Claim
from service.outbox.direct_claims import DirectClaims
from service.sources import Source
from service.sources.payload import TooManyTasks
from service.store import Connection, Pool, accounts, receipt_queue
from service.store.announcements import Announcement, PostgresAnnouncements
from service.store.lookups import PostgresLookups
from service.store.operators import answers
from service.store.receipt_queue import Pending
from service.store.tasks import Key
from service.telemetry import tracing
from workers.awaiting import HEARD
from workers.receipt_reader import Pushed, ReadReceipts, in_short, read_receipt
from workers.unreadable import POISONOUS, UNREADABLE
from workers.unreadable import reason as reason_of

log = structlog.get_logger()

Thing = TypeVar("Thing")

# How many receipts are taken together. Of those that cannot be done as a whole, ever smaller
# beginnings are tried, until the one that is at fault stands alone.
BATCHES = (200, 25, 3)
BATCH_BYTES = 1024 * 1024
# How many observations the engine processes at once, if a webhook has many tasks: the process does
# no other work meanwhile.
_STEP = 100
# An account's row is written no more often than that, however many webhooks come.
_NOTED_EVERY = timedelta(seconds=1)

_UNKNOWN = "waiting: Taskbell is reading task {}, which it does not know yet"
_HEARD_ALREADY = "duplicate within a few minutes: the signal was used only once"
_READ_WHOLE = "{}: Taskbell reads the whole account instead"


@dataclass(frozen=True, slots=True)
class Ingested:
    """How many receipts were processed, their effects, and whether tasks are to be read by id.

    `told_at` is when the last one came, if they were about tasks. `claims` are deliveries that are
    to be sent now, by their lanes.
    """

    count: int
    after: Effects = field(default_factory=Effects)
    hinted: bool = False
    told_at: datetime | None = None
    claims: Mapping[str, Sequence[Claim]] = field(default_factory=dict)

    @property
    def lanes(self) -> Lanes:
        return self.after.lanes


class Ingest:
    """Processes one account's receipts in the order in which they came, in batches.

    `direct` begins the claims of a transaction; without it, deliveries are only planned.
    """

    def __init__(
        self,
        pool: Pool,
        engine: Engine,
        source: Source,
        clock: Clock,
        direct: Callable[[], DirectClaims | None] = lambda: None,
    ) -> None:
        self._direct = direct
        self._pool = pool
        self._engine = engine
        self._source = source
        self._account = source.account.name
        self._clock = clock
        self._noted_at = datetime.min.replace(tzinfo=UTC)

    async def batch(self) -> Ingested:
        """Process one batch; receipts that cannot be read are rejected with the reason.

        Acknowledgements are looked for once no receipts are left, as they are few.
        """
        for limit in BATCHES:
            try:
                done = await self._take(limit)
                return self._committed(done if done.count else await self._acknowledged())
            except POISONOUS as error:
                log.info("ingest.in_smaller_steps", receipts=limit, reason=str(error))
        return self._committed(await self._take_one())

    async def note_webhook(self, told_at: datetime | None) -> None:
        """Note when a webhook about tasks came, to be called when what it caused goes on its way.

        Not in the transaction: an account's row is what its poll locks first.
        """
        if told_at is not None and told_at >= self._noted_at + _NOTED_EVERY:
            self._noted_at = told_at
            await accounts.note_webhook(self._pool, self._account, told_at)

    def _committed(self, done: Ingested) -> Ingested:
        self._engine.after_commit(done.after)
        return done

    async def _acknowledged(self) -> Ingested:
        if not await answers.are_waiting(self._pool, self._account):
            return Ingested(0)
        async with self._pool.acquire() as connection, connection.transaction():
            said = await answers.take(connection, self._account, BATCHES[0])
            if not said:
                return Ingested(0)
            after = await self._engine.acknowledge(PostgresTransaction(connection), said)
            return Ingested(len(said), after)

    async def _take(self, limit: int) -> Ingested:
        async with self._pool.acquire() as connection, connection.transaction():
            pending = await receipt_queue.claim(connection, self._account, limit, BATCH_BYTES)
            if not pending:
                return Ingested(0)
            with tracing.together("ingest", [one.trace for one in pending], account=self._account):
                return await self._work_off(connection, pending)

    async def _take_one(self) -> Ingested:
        """Process the oldest receipt; if it is the one that cannot be read, reject it."""
        async with self._pool.acquire() as connection, connection.transaction():
            pending = await receipt_queue.claim(connection, self._account, 1, BATCH_BYTES)
            if not pending:
                return Ingested(0)
            try:
                async with connection.transaction():
                    return await self._work_off(connection, pending)
            except POISONOUS as error:
                await self._set_aside(connection, pending[0], error)
                return Ingested(1)

    async def _work_off(self, connection: Connection, pending: Sequence[Pending]) -> Ingested:
        found = await self._read_all(connection, pending)
        if found.too_many:
            # Before any task is locked, as a poll does.
            await accounts.poll_now(connection, self._account, self._clock.now())
        direct = self._direct()
        after, unproven = await self._observe(PostgresTransaction(connection, direct), found)
        repeated_signals = list[Announcement]()
        for signals in _steps(found.signals, lambda one: one.key):
            heard, unknown = await self._take_signals(connection, found, signals)
            after, repeated_signals = after | heard, [*repeated_signals, *unknown]
        await receipt_queue.settle(connection, found.receipts, self._clock.now())
        await receipt_queue.note(connection, found.repeated_signals, _HEARD_ALREADY)
        for receipt, unread in found.unread.items():
            what = "one of its tasks" if len(unread) == 1 else f"{len(unread)} of its tasks"
            says = f"{what} could not be read: {in_short(unread)}"
            await receipt_queue.note(connection, [receipt], says)
        for receipt, why in found.too_many:
            await receipt_queue.note(connection, [receipt], _READ_WHOLE.format(why))
        await self._wait_for(connection, [*unproven, *found.hints, *repeated_signals])
        for one in repeated_signals:
            await receipt_queue.note(connection, [one.receipt], _UNKNOWN.format(one.key[1]))
        log.debug("receipts.ingested", receipts=len(pending), looks=len(found.pushed))
        is_asking = bool(found.hints or repeated_signals or unproven)
        claims = {} if direct is None else direct.claims
        return Ingested(len(pending), after, is_asking, found.told_at, claims)

    async def _observe(
        self, tx: PostgresTransaction, found: ReadReceipts
    ) -> tuple[Effects, list[Announcement]]:
        """Process observations; returns also the announced changes that are not visible yet."""
        after, unproven = Effects(), list[Announcement]()
        for step in _steps(found.pushed, lambda one: (one.look.account, one.look.task_id)):
            looks = [one.look for one in step]
            with tracing.coming_from(
                found.origins(((one.look.account, one.look.task_id), one.receipt) for one in step)
            ):
                seen = await self._engine.observe(tx, looks)
            unproven += _unproven(step, seen)
            after |= seen
        return after, unproven

    async def _take_signals(
        self, connection: Connection, found: ReadReceipts, signals: Sequence[Announcement]
    ) -> tuple[Effects, list[Announcement]]:
        """Process signals about known tasks, after those that were stored for these tasks earlier.

        Returns also the signals about unknown tasks.
        """
        keys = [one.key for one in signals]
        tx = PostgresTransaction(connection)
        waited = await tx.announcements.take_signals(keys)
        await receipt_queue.note(connection, [one.receipt for one in waited], HEARD)
        known = await tx.tasks.present(keys)
        heard = [*waited, *(one for one in signals if one.key in known)]
        with tracing.coming_from(found.origins((one.key, one.receipt) for one in heard)):
            told = [_signal(one) for one in heard]
            after = await self._engine.take_signals(tx, told)
        return after, [one for one in signals if one.key not in known]

    async def _wait_for(self, connection: Connection, announced: Sequence[Announcement]) -> None:
        """Request reads of the tasks until they show the change, or the signal can be used."""
        keys, receipts = [one.key for one in announced], [one.receipt for one in announced]
        # In this order, as where a task was read: so that neither waits for the other.
        await PostgresAnnouncements(connection).keep(announced)
        await PostgresLookups(connection).ask(keys, Cause.WEBHOOK, self._clock.now(), receipts)

    async def _read_all(self, connection: Connection, pending: Sequence[Pending]) -> ReadReceipts:
        """Parse the receipts and sort their contents; reject those without any."""
        found = ReadReceipts()
        for receipt in pending:
            try:
                found.add(
                    receipt, await aside(len(receipt.body), read_receipt, self._source, receipt)
                )
            except TooManyTasks as error:
                if error.of_signals:
                    # No reading of tasks shows these.
                    await self._set_aside(connection, receipt, error)
                else:
                    found.pass_over(receipt, error)
            except UNREADABLE as error:
                await self._set_aside(connection, receipt, error)
        return found

    async def _set_aside(
        self, connection: Connection, receipt: Pending, error: BaseException
    ) -> None:
        reason = reason_of(error)
        await receipt_queue.set_aside(connection, receipt, reason, self._clock.now())
        log.warning("receipt.poison", receipt=receipt.id, account=receipt.account, reason=reason)


def _steps(many: Sequence[Thing], key: Callable[[Thing], Key]) -> list[Sequence[Thing]]:
    """The same in portions, of about the usual number in one batch of webhooks.

    If there are several portions, tasks are in the order in which every transaction locks them.
    """
    if len(many) <= BATCHES[0]:
        return [many] if many else []
    ordered = sorted(many, key=key)
    return [ordered[first : first + _STEP] for first in range(0, len(ordered), _STEP)]


def _unproven(step: Sequence[Pushed], after: Effects) -> list[Announcement]:
    """The announced changes that the system does not show yet."""
    return [
        Announcement(
            (pushed.look.account, pushed.look.task_id),
            pushed.receipt,
            kind,
            pushed.look.observed_at,
            pushed.raw if kind is Kind.CHANGED else None,
            task=one.task if kind is Kind.COMPLETED else None,
        )
        for one in after.unproven
        for pushed in [step[one.look]]
        for kind in sorted(one.kinds)
    ]


def _signal(kept: Announcement) -> Signal:
    return Signal(*kept.key, kept.signal, kept.at)
