"""Reads tasks by id.

Causes: a webhook that contains only an id, a task that is missing from a scan, an own write.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog

from service.clock import Clock
from service.domain.model import (
    Cause,
    Kind,
    Observation,
)
from service.domain.recurrence import was_reported
from service.domain.signals import Signal
from service.engine import Engine
from service.engine.effects import Effects
from service.engine.postgres import PostgresTransaction
from service.errors import SourceError, SourceRejected
from service.outbox import Lanes
from service.sources import Source
from service.store import (
    DATABASE_GONE,
    Connection,
    Pool,
    absences,
    lookups,
    receipt_queue,
    tasks,
)
from service.store.announcements import Announcement, PostgresAnnouncements
from service.store.lookups import LEASE, Lookup
from service.telemetry import tracing
from workers import retry
from workers.awaiting import HEARD, Answer, is_change_shown, missing_reason
from workers.canaries import HANDFUL, Canaries, are_many
from workers.unreadable import POISONOUS, UNREADABLE, reason

log = structlog.get_logger()

_AT_ONCE = 4
_BETWEEN_RENEWALS = LEASE.total_seconds() / 4
# How often, over about an hour, a task is asked for that the system will not show, or not so that
# it can be read, while it shows others. For ever would be for all of them, and each takes a call
# from the others.
_TRIES = 15
# Where the system says of many tasks at once that there are none: so long that is held unless a
# person decides, and so seldom at most it is asked again.
_HELD_FOR = timedelta(days=1)


class Lookups:
    """Reads the tasks of one account that are requested by id."""

    def __init__(self, pool: Pool, engine: Engine, source: Source, clock: Clock) -> None:
        self._pool = pool
        self._engine = engine
        self._source = source
        self._account = source.account.name
        self._clock = clock
        self._trusted = Canaries(pool, source)
        self._unfinished: UUID | None = None

    async def batch(self) -> tuple[int, Lanes]:
        """Read a few tasks concurrently; returns how many, and the lanes to wake up.

        If that fails, for instance without a database, the next batch releases the claimed lookups.
        """
        if self._unfinished is not None:
            await lookups.give_back(self._pool, self._account, self._unfinished)
            self._unfinished = None
        lease = self._unfinished = uuid4()
        now = self._clock.now()
        claimed = await lookups.claim(self._pool, self._account, lease, now, _AT_ONCE)
        keeping = asyncio.create_task(self._keep_lease(lease))
        try:
            lanes = await self._work_off(claimed)
        finally:
            keeping.cancel()
        self._unfinished = None
        return len(claimed), lanes

    async def _keep_lease(self, lease: UUID) -> None:
        while True:
            await asyncio.sleep(_BETWEEN_RENEWALS)
            try:
                await lookups.renew(self._pool, self._account, lease, self._clock.now())
            except DATABASE_GONE as error:
                log.warning("lookup.lease_not_renewed", account=self._account, error=str(error))

    async def _work_off(self, claimed: Sequence[Lookup]) -> Lanes:
        answers = await asyncio.gather(*(self._attempt(lookup) for lookup in claimed))
        read = [(one, got) for one, got in zip(claimed, answers, strict=True) if got is not None]
        doubt = await self._trusted.doubt([one.task for one, got in read if got.raw is None])
        held = await self._held([one for one, got in read if got.raw is None and doubt is None])
        lanes = await asyncio.gather(
            *(self._settle(one, got, doubt) for one, got in read if one not in held)
        )
        if any(got.raw is not None for _, got in read):
            await self._recheck_held()
        return frozenset[str]().union(*lanes)

    async def _held(self, absent: Sequence[Lookup]) -> Sequence[Lookup]:
        """Hold deletions if many tasks are missing at once; returns the held ones.

        That takes a moment to determine: most of the tasks that are missing from a list may still
        exist when they are read by id. Deletions announced by a webhook are not held, nor those
        that were held for long.
        """
        now = self._clock.now()
        doubtful = [
            one
            for one in absent
            if one.cause is Cause.FETCH and now - (one.absent_at or now) < _HELD_FOR
        ]
        if not doubtful or not await self._are_many():
            return []
        await asyncio.gather(*(self._hold(one, now) for one in doubtful))
        return doubtful

    async def _recheck_held(self) -> None:
        """Read held tasks at once if the number of missing tasks is no longer unusual."""
        account = self._account
        if await absences.any_held(self._pool, account) and not await self._are_many():
            await absences.read_held_now(self._pool, account, self._clock.now())

    async def _are_many(self) -> bool:
        account = self._account
        async with self._pool.acquire() as connection:
            asked = await absences.doubtful(connection, account)
            if asked <= HANDFUL:
                return False
            loss = await absences.loss(connection, account, self._clock.now())
        return are_many(asked + loss.lately, loss.present + loss.lately)

    async def _hold(self, lookup: Lookup, now: datetime) -> None:
        pause = retry.HELD_LOOKUP.after(lookup.attempts)
        until = min(now + pause, (lookup.absent_at or now) + _HELD_FOR)
        await absences.hold(self._pool, lookup, now, until)

    async def _attempt(self, lookup: Lookup) -> Answer | None:
        """The task as read by its id; None if it could not be read, and is tried again later."""
        try:
            with tracing.span("lookup", lookup.trace, account=lookup.account):
                return await self._read(lookup)
        except (SourceError, *UNREADABLE) as error:
            if lookup.attempts >= _TRIES and await self._is_task_specific(error):
                await self._give_up(lookup, error)
            else:
                await self._postpone(lookup, error)
            return None

    async def _is_task_specific(self, error: Exception) -> bool:
        """Whether only this task cannot be read, and not all of them."""
        if isinstance(error, SourceRejected) or not isinstance(error, SourceError):
            return True
        try:
            await self._trusted.demand_readable(error)
        except SourceError:
            return False
        return True

    async def _settle(self, lookup: Lookup, answer: Answer, doubt: SourceError | None) -> Lanes:
        """Process the result; a deletion waits while it is in doubt."""
        if answer.raw is None and doubt is not None:
            await self._postpone(lookup, doubt)
            return frozenset()
        return await self._take(lookup, answer)

    async def _take(self, lookup: Lookup, answer: Answer) -> Lanes:
        try:
            with tracing.span("observe", lookup.trace, account=lookup.account):
                return await self._process(lookup, answer)
        except POISONOUS as error:
            await self._give_up(lookup, error)
            return frozenset()

    async def _process(self, lookup: Lookup, answer: Answer) -> Lanes:
        async with self._pool.acquire() as connection, connection.transaction():
            tx = PostgresTransaction(connection)
            seen = await self._engine.observe(tx, [answer.look])
            left = await tx.announcements.about((lookup.account, lookup.task))
            if left:
                heard, left = await self._take_signals(tx, left, answer, seen)
                seen |= heard
            pause = retry.ANNOUNCED.after(lookup.looks + 1)
            if left and pause is not None:
                await lookups.read_again(connection, lookup, self._clock.now() + pause)
            elif await lookups.done(connection, lookup):
                await self._end(connection, lookup, answer, left)
        return self._engine.after_commit(seen)

    async def _take_signals(
        self,
        tx: PostgresTransaction,
        announced: Sequence[Announcement],
        answer: Answer,
        seen: Effects,
    ) -> tuple[Effects, list[Announcement]]:
        """Process stored signals for this task; returns also the changes not visible yet."""
        known = await tasks.read_state(tx.connection, announced[0].key)
        is_known, is_news = known.task is not None, bool(seen.events)
        signals = [one for one in announced if one.signal and known.present is not None]
        over = [
            one
            for one in announced
            if one.kind is Kind.CHANGED
            and is_change_shown(self._source, one, answer, is_known=is_known, is_news=is_news)
        ]
        await tx.announcements.forget([*signals, *over])
        heard = Effects()
        if signals:
            told = [Signal(*one.key, one.signal, one.at) for one in signals]
            heard = await self._engine.take_signals(tx, told)
            await receipt_queue.note(tx.connection, [one.receipt for one in signals], HEARD)
        return heard, [one for one in announced if one not in [*signals, *over]]

    async def _end(
        self,
        connection: Connection,
        lookup: Lookup,
        answer: Answer,
        left: Sequence[Announcement],
    ) -> None:
        """Record with the webhooks which changes never became visible, or a deletion."""
        told = (
            (await tasks.read_state(connection, (lookup.account, lookup.task))).told if left else ()
        )
        for one in left:
            if one.kind is not Kind.COMPLETED or not was_reported(told, one.at):
                await receipt_queue.note(connection, [one.receipt], missing_reason(one, answer))
        await PostgresAnnouncements(connection).forget(left)
        if answer.raw is None and not left:
            await self._note_absence(connection, lookup)

    async def _note_absence(self, connection: Connection, lookup: Lookup) -> None:
        """Record with the requesting webhooks why they had no effect, or a deletion."""
        says = f"{lookup.account} has no task {lookup.task}"
        log.info("lookup.no_such_task", account=lookup.account, task=lookup.task)
        await receipt_queue.note(connection, lookup.receipts, says)

    async def _read(self, lookup: Lookup) -> Answer:
        requested_at = self._clock.now()
        raw = await self._source.fetch(lookup.task)
        if raw is None:
            none = Observation(lookup.account, lookup.task, None, requested_at, lookup.cause)
            return Answer(none, None)
        look = self._source.observe(raw, requested_at, lookup.cause)
        return Answer(replace(look, confirms=lookup.confirms(requested_at)), raw)

    async def _give_up(self, lookup: Lookup, error: Exception) -> None:
        """Leave the task to the next scan, and record the reason with the requesting webhooks."""
        says = reason(error)
        log.warning("lookup.given_up", account=lookup.account, task=lookup.task, error=says)
        async with self._pool.acquire() as connection, connection.transaction():
            await lookups.done(connection, lookup)
            announcements = PostgresAnnouncements(connection)
            left = await announcements.about((lookup.account, lookup.task))
            await announcements.forget(left)
            await receipt_queue.note(connection, lookup.receipts, f"given up: {says}")

    async def _postpone(self, lookup: Lookup, error: Exception) -> None:
        pause = retry.LOOKUP.after(lookup.attempts)
        if isinstance(error, SourceError) and error.retry_after is not None:
            pause = max(pause, error.retry_after)
        says = reason(error)
        log.warning("lookup.failed", account=lookup.account, task=lookup.task, error=says)
        await lookups.postpone(self._pool, lookup, self._clock.now() + pause, says)
