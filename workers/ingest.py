"""Receipts become observations: what came in by webhook is read and handed to the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
import orjson
import structlog

from service.clock import Clock
from service.engine import Engine, Signal
from service.errors import PayloadError
from service.model import Cause, Observation
from service.outbox import Lanes
from service.sources import Source, fingerprint
from service.sources.payload import Hint, Whole, read
from service.store import Connection, Pool, backlog, lookups
from service.store.backlog import Pending

log = structlog.get_logger()

BATCH = 200

# What a receipt can bring about by its content alone; anything else is not the receipt's fault.
_POISONOUS = (PayloadError, asyncpg.DataError, ValueError, LookupError, TypeError)


@dataclass(slots=True)
class _Read:
    """What receipts said, sorted by what has to be done about it."""

    looks: list[Observation] = field(default_factory=list)
    hints: list[tuple[str, str]] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ingested:
    """How many receipts were taken, and who is to be rung now."""

    count: int
    lanes: Lanes = frozenset()
    accounts: frozenset[str] = frozenset()


class Ingest:
    """Works off receipts in the order they came, in batches."""

    def __init__(
        self, pool: Pool, engine: Engine, sources: Mapping[str, Source], clock: Clock
    ) -> None:
        self._pool = pool
        self._engine = engine
        self._sources = sources
        self._clock = clock

    async def batch(self) -> Ingested:
        """Work off one batch. If it cannot be done as a whole, one receipt at a time."""
        try:
            return await self._take(BATCH)
        except _POISONOUS as error:
            log.info("ingest.singly", reason=str(error))
            return await self._take_one()

    async def _take(self, limit: int) -> Ingested:
        async with self._pool.acquire() as connection, connection.transaction():
            pending = await backlog.claim(connection, limit)
            if not pending:
                return Ingested(0)
            return await self._work_off(connection, pending)

    async def _take_one(self) -> Ingested:
        """Take the oldest receipt; if it is the one that cannot be read, set it aside."""
        async with self._pool.acquire() as connection, connection.transaction():
            pending = await backlog.claim(connection, 1)
            try:
                async with connection.transaction():
                    return await self._work_off(connection, pending)
            except _POISONOUS as error:
                await self._set_aside(connection, pending[0], error)
                return Ingested(1)

    async def _work_off(self, connection: Connection, pending: Sequence[Pending]) -> Ingested:
        found = _Read()
        for receipt in pending:
            self._read(receipt, found)
        lanes: Lanes = frozenset()
        if found.looks:
            lanes |= await self._engine.observe(connection, found.looks)
        if found.signals:
            lanes |= await self._engine.hear(connection, found.signals)
        if found.hints:
            await lookups.ask(connection, found.hints, Cause.WEBHOOK, self._clock.now())
        await backlog.settle(connection, pending, self._clock.now())
        log.debug("receipts.ingested", receipts=len(pending), looks=len(found.looks))
        return Ingested(len(pending), lanes, frozenset(account for account, _ in found.hints))

    def _read(self, receipt: Pending, found: _Read) -> None:
        """Sort what one receipt says; a body seen before is only a hint to look again."""
        source = self._sources.get(receipt.account)
        if source is None:
            raise PayloadError(f"there is no account {receipt.account} in the configuration now")
        for sighting in read(source, orjson.loads(receipt.body)):
            if isinstance(sighting, Hint):
                found.hints.append((receipt.account, sighting.task_id))
            elif not isinstance(sighting, Whole):
                found.signals.append(
                    Signal(receipt.account, sighting.task_id, sighting.name, receipt.received_at)
                )
            elif receipt.repeats:
                task_id = source.parse(sighting.raw).id
                found.hints.append((receipt.account, task_id))
            else:
                found.looks.append(_look(source, receipt, sighting))

    async def _set_aside(
        self, connection: Connection, receipt: Pending, error: BaseException
    ) -> None:
        reason = str(error) or type(error).__name__
        await backlog.set_aside(connection, receipt, reason, self._clock.now())
        log.warning("receipt.poison", receipt=receipt.id, account=receipt.account, reason=reason)


def _look(source: Source, receipt: Pending, sighting: Whole) -> Observation:
    task = source.parse(sighting.raw)
    return Observation(
        account=receipt.account,
        task_id=task.id,
        task=task,
        observed_at=receipt.received_at,
        cause=Cause.WEBHOOK,
        version=source.version(sighting.raw),
        fingerprint=fingerprint(sighting.raw),
        announced=sighting.announced,
    )
