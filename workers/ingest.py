"""Receipts become observations: what came in by webhook is read and handed to the engine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import structlog

from service.books.database import DatabaseBooks
from service.clock import Clock
from service.engine import Consequences, Engine
from service.errors import PayloadError
from service.http.decoding import decoded
from service.model import Cause, Observation, Signal
from service.outbox import Lanes
from service.sources import Source
from service.sources.payload import Hint, Sighting, Unread, Whole, read
from service.store import Connection, Pool, accounts, backlog, lookups, tasks
from service.store.backlog import Pending
from service.store.tasks import Key
from workers.poison import POISONOUS, UNREADABLE
from workers.poison import reason as reason_of

log = structlog.get_logger()

# How many receipts are taken together. Of those that cannot be done as a whole, ever smaller
# beginnings are tried, until the one that is at fault stands alone.
BATCHES = (200, 25, 3)
BATCH_BYTES = 4 * 1024 * 1024
# An account's row is written no more often than that, however many webhooks come.
_NOTED_EVERY = timedelta(seconds=1)

Found: TypeAlias = Observation | Signal | Key | Unread
"""A look at a task, a signal about one, one to be read by id, or what says nothing."""


@dataclass(slots=True)
class _Read:
    """What receipts said, sorted by what has to be done about it.

    `hinting` gave the `hints`, `signalling` the `signals`. `unread` is of which rows of lists
    nothing can be read, and why.
    """

    receipts: list[Pending] = field(default_factory=list)
    looks: list[Observation] = field(default_factory=list)
    hints: list[Key] = field(default_factory=list)
    hinting: list[int] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    signalling: list[int] = field(default_factory=list)
    unread: list[tuple[int, str]] = field(default_factory=list)

    def add(self, receipt: Pending, said: Iterable[Found]) -> None:
        self.receipts.append(receipt)
        for one in said:
            match one:
                case Observation():
                    self.looks.append(one)
                case Signal():
                    self.signals.append(one)
                    self.signalling.append(receipt.id)
                case Unread():
                    self.unread.append((receipt.id, one.reason))
                case _:
                    self.hints.append(one)
                    self.hinting.append(receipt.id)

    @property
    def told_at(self) -> datetime | None:
        """When the last of these came; None where they told of no task, as signals do not."""
        if not self.looks and not self.hints:
            return None
        return max(receipt.received_at for receipt in self.receipts)


@dataclass(frozen=True, slots=True)
class Ingested:
    """How many receipts were taken, what came of it, and whether tasks are to be read by id.

    `told_at` is when the last one came, if they told of tasks.
    """

    count: int
    after: Consequences = field(default_factory=Consequences)
    hinted: bool = False
    told_at: datetime | None = None

    @property
    def lanes(self) -> Lanes:
        return self.after.lanes


class Ingest:
    """Works off one account's receipts in the order they came, in batches."""

    def __init__(self, pool: Pool, engine: Engine, source: Source, clock: Clock) -> None:
        self._pool = pool
        self._engine = engine
        self._source = source
        self._account = source.account.name
        self._clock = clock
        self._noted_at = datetime.min.replace(tzinfo=UTC)

    async def batch(self) -> Ingested:
        """Work off one batch; what of it cannot be read is set aside with its reason."""
        for limit in BATCHES:
            try:
                return await self._committed(await self._take(limit))
            except POISONOUS as error:
                log.info("ingest.in_smaller_steps", receipts=limit, reason=str(error))
        return await self._committed(await self._take_one())

    async def _committed(self, done: Ingested) -> Ingested:
        self._engine.committed(done.after)
        # Not in the transaction: an account's row is what its poll locks first.
        if done.told_at is not None and done.told_at >= self._noted_at + _NOTED_EVERY:
            self._noted_at = done.told_at
            await accounts.note_webhook(self._pool, self._account, done.told_at)
        return done

    async def _take(self, limit: int) -> Ingested:
        async with self._pool.acquire() as connection, connection.transaction():
            pending = await backlog.claim(connection, self._account, limit, BATCH_BYTES)
            if not pending:
                return Ingested(0)
            return await self._work_off(connection, pending)

    async def _take_one(self) -> Ingested:
        """Take the oldest receipt; if it is the one that cannot be read, set it aside."""
        async with self._pool.acquire() as connection, connection.transaction():
            pending = await backlog.claim(connection, self._account, 1, BATCH_BYTES)
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
        after = Consequences()
        if found.looks:
            after |= await self._engine.observe(DatabaseBooks(connection), found.looks)
        if found.signals:
            after |= await self._engine.hear(DatabaseBooks(connection), found.signals)
        if found.hints:
            now = self._clock.now()
            await lookups.ask(connection, found.hints, Cause.WEBHOOK, now, found.hinting)
        await backlog.settle(connection, found.receipts, self._clock.now())
        for receipt, why in found.unread:
            await backlog.note(connection, [receipt], f"one of its tasks was not read: {why}")
        unheard = await self._read_unheard(connection, found) if found.signals else False
        log.debug("receipts.ingested", receipts=len(pending), looks=len(found.looks))
        return Ingested(len(pending), after, bool(found.hints) or unheard, found.told_at)

    async def _read_unheard(self, connection: Connection, found: _Read) -> bool:
        """Have tasks that nobody knows read, so that they are known when the signal comes again.

        Its receipt says so. Returns whether there were any.
        """
        keys = [(one.account, one.task_id) for one in found.signals]
        known = await tasks.present(connection, keys)
        unheard = {
            receipt: key
            for key, receipt in zip(keys, found.signalling, strict=True)
            if key not in known
        }
        await lookups.ask(
            connection, list(unheard.values()), Cause.WEBHOOK, self._clock.now(), list(unheard)
        )
        for receipt, (_, task_id) in unheard.items():
            says = f"not heard: task {task_id} is not known yet; it is read now, so send it again"
            await backlog.note(connection, [receipt], says)
        return bool(unheard)

    async def _read_all(self, connection: Connection, pending: Sequence[Pending]) -> _Read:
        """Sort what the receipts say, and set aside those that say nothing."""
        found = _Read()
        for receipt in pending:
            try:
                found.add(receipt, self._read(receipt))
            except UNREADABLE as error:
                await self._set_aside(connection, receipt, error)
        return found

    def _read(self, receipt: Pending) -> list[Found]:
        sightings = read(self._source, decoded(receipt.body))
        found = [_found(self._source, receipt, sighting) for sighting in sightings]
        if found and all(isinstance(one, Unread) for one in found):
            raise PayloadError("; ".join(one.reason for one in found if isinstance(one, Unread)))
        return found

    async def _set_aside(
        self, connection: Connection, receipt: Pending, error: BaseException
    ) -> None:
        reason = reason_of(error)
        await backlog.set_aside(connection, receipt, reason, self._clock.now())
        log.warning("receipt.poison", receipt=receipt.id, account=receipt.account, reason=reason)


def _found(source: Source, receipt: Pending, sighting: Sighting) -> Found:
    """What one sighting says, if anything: one task's defect costs no other anything."""
    try:
        return _said(source, receipt, sighting)
    except UNREADABLE as error:
        return Unread(reason_of(error))


def _said(source: Source, receipt: Pending, sighting: Sighting) -> Found:
    """What one receipt says; a body seen before is only a hint to look again."""
    match sighting:
        case Whole() if not receipt.repeats:
            look = source.look(sighting.raw, receipt.received_at, Cause.WEBHOOK)
            return replace(look, pushed=True, announced=sighting.announced)
        case Whole():
            return receipt.account, source.parse(sighting.raw).id
        case Hint():
            return receipt.account, sighting.task_id
        case Unread():
            return sighting
        case _:
            return Signal(receipt.account, sighting.task_id, sighting.name, receipt.received_at)
