"""Tasks read by id: what a thin webhook hinted at, what a scan missed, what was written by us."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import structlog

from service import pacing
from service.books.database import DatabaseBooks
from service.clock import Clock
from service.engine import Engine
from service.errors import SourceError, SourceRejected
from service.model import Observation
from service.outbox import Lanes
from service.sources import Source
from service.store import Connection, Pool, backlog, lookups
from service.store.lookups import Lookup
from workers.canaries import Canaries
from workers.poison import POISONOUS, UNREADABLE, reason

log = structlog.get_logger()

_AT_ONCE = 4
_LEASE = timedelta(minutes=3)
_FIRST_RETRY = timedelta(seconds=2)
_LAST_RETRY = timedelta(minutes=10)
# How often, over about an hour, a task is asked for that the system will not show, or not so that
# it can be read, while it shows others. For ever would be for all of them, and each takes a call
# from the others.
_TRIES = 15


class Lookups:
    """Reads the tasks that one account was asked about."""

    def __init__(self, pool: Pool, engine: Engine, source: Source, clock: Clock) -> None:
        self._pool = pool
        self._engine = engine
        self._source = source
        self._clock = clock
        self._trusted = Canaries(pool, source)

    async def batch(self) -> tuple[int, Lanes]:
        """Read a few tasks side by side; returns how many and the lanes to ring."""
        account = self._source.account.name
        claimed = await lookups.claim(self._pool, account, self._clock.now(), _LEASE, _AT_ONCE)
        looks = await asyncio.gather(*(self._attempt(lookup) for lookup in claimed))
        read = [(one, look) for one, look in zip(claimed, looks, strict=True) if look is not None]
        doubt = await self._trusted.doubt([one.task for one, look in read if look.task is None])
        lanes = await asyncio.gather(*(self._settle(one, look, doubt) for one, look in read))
        return len(claimed), frozenset[str]().union(*lanes)

    async def _attempt(self, lookup: Lookup) -> Observation | None:
        """What the task looks like; None if that could not be read, and is tried again later."""
        try:
            return await self._read(lookup)
        except (SourceError, *UNREADABLE) as error:
            if lookup.attempts >= _TRIES and await self._is_its_fault(error):
                await self._give_up(lookup, error)
            else:
                await self._postpone(lookup, error)
            return None

    async def _is_its_fault(self, error: Exception) -> bool:
        """Whether it is the task that cannot be read, and not all of them."""
        if isinstance(error, SourceRejected) or not isinstance(error, SourceError):
            return True
        try:
            await self._trusted.demand_readable(error)
        except SourceError:
            return False
        return True

    async def _settle(self, lookup: Lookup, look: Observation, doubt: SourceError | None) -> Lanes:
        """Take over what was read; while it is in doubt, that there is no task waits."""
        if look.task is None and doubt is not None:
            await self._postpone(lookup, doubt)
            return frozenset()
        return await self._take(lookup, look)

    async def _take(self, lookup: Lookup, look: Observation) -> Lanes:
        try:
            return await self._take_in(lookup, look)
        except POISONOUS as error:
            await self._give_up(lookup, error)
            return frozenset()

    async def _take_in(self, lookup: Lookup, look: Observation) -> Lanes:
        async with self._pool.acquire() as connection, connection.transaction():
            seen = await self._engine.observe(DatabaseBooks(connection), [look])
            await lookups.done(connection, lookup)
            if look.task is None:
                await self._note_absence(connection, lookup)
        return self._engine.committed(seen)

    async def _note_absence(self, connection: Connection, lookup: Lookup) -> None:
        """Note with the webhooks that asked for the task why nothing, or a deletion, came of it."""
        says = f"{lookup.account} says that there is no task {lookup.task}"
        log.info("lookup.no_such_task", account=lookup.account, task=lookup.task)
        await backlog.note(connection, lookup.receipts, says)

    async def _read(self, lookup: Lookup) -> Observation:
        requested_at = self._clock.now()
        raw = await self._source.fetch(lookup.task)
        if raw is None:
            return Observation(lookup.account, lookup.task, None, requested_at, lookup.cause)
        look = self._source.look(raw, requested_at, lookup.cause)
        return replace(look, confirms=lookup.confirms(requested_at))

    async def _give_up(self, lookup: Lookup, error: Exception) -> None:
        """Leave the task to the next scan, and note why with the webhooks that asked for it."""
        says = reason(error)
        log.warning("lookup.given_up", account=lookup.account, task=lookup.task, error=says)
        async with self._pool.acquire() as connection, connection.transaction():
            await lookups.done(connection, lookup)
            await backlog.note(connection, lookup.receipts, f"given up: {says}")

    async def _postpone(self, lookup: Lookup, error: Exception) -> None:
        pause = pacing.backoff(_FIRST_RETRY, lookup.attempts - 1, _LAST_RETRY)
        if isinstance(error, SourceError) and error.retry_after is not None:
            pause = max(pause, error.retry_after)
        says = reason(error)
        log.warning("lookup.failed", account=lookup.account, task=lookup.task, error=says)
        await lookups.postpone(self._pool, lookup, self._clock.now() + pause, says)
