"""Tasks read by id: what a thin webhook hinted at, what a scan missed, what was written by us."""

import asyncio
from datetime import timedelta

import structlog

from service.clock import Clock
from service.engine import Engine
from service.errors import PayloadError, SourceError, SourceRejected
from service.model import Observation
from service.outbox import Lanes
from service.sources import Source
from service.store import Connection, Pool, backlog, lookups
from service.store.lookups import Lookup

log = structlog.get_logger()

_AT_ONCE = 4
_LEASE = timedelta(minutes=3)
_FIRST_RETRY = timedelta(seconds=2)
_LAST_RETRY = timedelta(minutes=10)
# How often, over about an hour, a task is asked for that the system will not show, or not so that
# it can be read. For ever would be for all of them, and each takes a call from the others.
_TRIES = 15


class Lookups:
    """Reads the tasks that one account was asked about."""

    def __init__(self, pool: Pool, engine: Engine, source: Source, clock: Clock) -> None:
        self._pool = pool
        self._engine = engine
        self._source = source
        self._clock = clock

    async def batch(self) -> tuple[int, Lanes]:
        """Read a few tasks side by side; returns how many and the lanes to ring."""
        account = self._source.account.name
        claimed = await lookups.claim(self._pool, account, self._clock.now(), _LEASE, _AT_ONCE)
        lanes = await asyncio.gather(*(self._look_up(lookup) for lookup in claimed))
        return len(claimed), frozenset[str]().union(*lanes)

    async def _look_up(self, lookup: Lookup) -> Lanes:
        try:
            look = await self._read(lookup)
        except (SourceError, PayloadError) as error:
            if lookup.attempts >= _TRIES and isinstance(error, SourceRejected | PayloadError):
                await self._give_up(lookup, error)
            else:
                await self._postpone(lookup, error)
            return frozenset()
        async with self._pool.acquire() as connection, connection.transaction():
            seen = await self._engine.observe(connection, [look])
            await lookups.done(connection, lookup)
            if look.task is None:
                await self._note_absence(connection, lookup)
        return self._engine.committed(seen)

    async def _note_absence(self, connection: Connection, lookup: Lookup) -> None:
        """Have the webhooks that asked for the task say why nothing, or a deletion, came of it."""
        says = f"{lookup.account} says that there is no task {lookup.task}"
        log.info("lookup.no_such_task", account=lookup.account, task=lookup.task)
        await backlog.note(connection, lookup.receipts, says)

    async def _read(self, lookup: Lookup) -> Observation:
        requested_at = self._clock.now()
        raw = await self._source.fetch(lookup.task)
        if raw is None:
            return Observation(lookup.account, lookup.task, None, requested_at, lookup.cause)
        return self._source.look(raw, requested_at, lookup.cause)

    async def _give_up(self, lookup: Lookup, error: SourceRejected | PayloadError) -> None:
        """Leave the task to the next scan, and have the webhooks that asked for it say why."""
        log.warning("lookup.given_up", account=lookup.account, task=lookup.task, error=str(error))
        async with self._pool.acquire() as connection, connection.transaction():
            await lookups.done(connection, lookup)
            await backlog.note(connection, lookup.receipts, f"given up: {error}")

    async def _postpone(self, lookup: Lookup, error: SourceError | PayloadError) -> None:
        pause = min(_FIRST_RETRY * 2 ** min(lookup.attempts - 1, 12), _LAST_RETRY)
        if isinstance(error, SourceError) and error.retry_after is not None:
            pause = max(pause, error.retry_after)
        log.warning("lookup.failed", account=lookup.account, task=lookup.task, error=str(error))
        await lookups.postpone(self._pool, lookup, self._clock.now() + pause, str(error))
