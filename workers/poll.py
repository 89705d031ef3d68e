"""Polling: reading an account's list, page by page."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from service import metrics
from service.clock import Clock
from service.domain.model import Cause, Observation
from service.engine import Engine
from service.engine.effects import Effects
from service.engine.postgres import PostgresTransaction
from service.errors import (
    PayloadError,
    SourceBroken,
    SourceError,
    SourceRejected,
    SourceUnauthorized,
)
from service.outbox import Lanes
from service.sources import Page, Source
from service.sources.pagination import read_ahead
from service.sources.reader import Raw
from service.store import Pool, absences, accounts, tasks
from service.store.accounts import AccountState, Progress
from service.store.lookups import Coverage
from service.store.tasks import Key
from workers import poll_pace, retry
from workers.canaries import ENOUGH, Canaries, are_many
from workers.missing_tasks import MissingTasks, Scan
from workers.unreadable import POISONOUS, UNREADABLE, Unreadable

log = structlog.get_logger()

# How long a poll stays with a process that gives no sign of life; one at work renews it.
LEASE = timedelta(seconds=30)
# A change may be committed over there after a later one is shown; how late is seen as it comes.
_OVERLAP, _WIDEST = timedelta(minutes=2), timedelta(hours=1)
_MOST_BEYOND = 20  # pages that an incremental read takes beyond that, before it leaves it to a scan
_NAMELESS = "a task without an id in the list, which Taskbell cannot watch"
_JITTER = 0.1
_AT_ONCE = 100  # tasks that are taken in by one transaction, where they come from no page


class Poll:
    """Polls one account."""

    def __init__(self, pool: Pool, engine: Engine, source: Source, clock: Clock) -> None:
        self._pool = pool
        self._engine = engine
        self._source = source
        self._clock = clock
        self._account = source.account
        self._canaries = Canaries(pool, source)
        self._unread: SourceBroken | SourceUnauthorized | None = None
        self._missed_at: datetime | None = None
        self._progress: Progress | None = None
        self._found = 0
        self._late = timedelta(0)
        self._missing = MissingTasks(pool, source, self._canaries, clock)
        self._unreadable = Unreadable(pool, source, clock)
        self._appeared: list[Observation] = []

    async def run(self, state: AccountState) -> AsyncIterator[Lanes]:
        """Read the changes, or everything when a full scan is due; yields the lanes to wake up."""
        started_at, self._unread = self._clock.now(), None
        self._missed_at, self._late, self._appeared = state.missed_at, timedelta(0), []
        self._unreadable.set_aside = []
        is_full = self._wants_everything(state, started_at)
        changes = None if is_full else self._source.by_change()
        is_scan = changes is None
        self._progress = Progress() if is_full else None
        reading = (
            self._scan(state, started_at, is_full=is_full)
            if changes is None
            else self._read_changes(changes, state)
        )
        try:
            async for lanes in reading:
                yield lanes
            await self._demand_readable()
            is_whole = is_scan and self._source.covered(whole=is_full) == Coverage()
            await self._unreadable.note(state, is_scan=is_whole)
        except (SourceError, PayloadError) as error:
            log.warning("poll.failed", account=state.name, error=str(error))
            await self._unreadable.note(state, is_scan=False)
            await self._fail(state, str(error), getattr(error, "retry_after", None))
        else:
            scanned_at = started_at if is_whole else state.scanned_at
            await self._finish(state, started_at, scanned_at, self._overlap(state, is_scan=is_scan))

    async def keep_lease(self, state: AccountState) -> bool:
        """Renew the lease of this poll; False if it was lost, and the poll has to end."""
        until = self._clock.now() + LEASE
        return await accounts.keep_lease(self._pool, state, until, self._progress)

    async def crash(self, state: AccountState, error: Exception) -> None:
        """Show with the account that its poll ended because of a bug in Taskbell."""
        says = f"internal error: {type(error).__name__}; the worker's log has the details"
        await self._fail(state, says, None)

    def _wants_everything(self, state: AccountState, now: datetime) -> bool:
        if state.scanned_at is None or state.scan_asked_at is not None:
            return True
        return now - state.scanned_at >= self._account.full_scan

    async def _read_changes(
        self, changes: AsyncIterator[Page], state: AccountState
    ) -> AsyncIterator[Lanes]:
        """Read the latest changes, newest first, until a page contains nothing new.

        A change that was committed late, or imported, has an older date than changes that were read
        before it. If such changes continue for long, a full scan is made.
        """
        since, beyond = (state.watermark or state.added_at) - state.overlap, 0
        listed = set[str]()
        async with aclosing(read_ahead(changes, ahead=0)) as pages:
            async for page in pages:
                listed.update(page.raws)
                yield await self._take(page, state.watermark)
                beyond += self._source.reaches(page, since)
                if beyond and page.raws and not self._found:
                    break
                if beyond > _MOST_BEYOND:
                    await accounts.poll_now(self._pool, state.name, self._clock.now())
                    break
        await self._unreadable.demand_known_forms(listed)

    def _overlap(self, state: AccountState, *, is_scan: bool) -> timedelta:
        """How far back the next incremental read starts: as far as recent changes came late."""
        usual = max(_OVERLAP, state.overlap / 2) if is_scan else state.overlap
        return min(_WIDEST, max(usual, self._late + _OVERLAP)) if self._late else usual

    async def _demand_readable(self) -> None:
        if self._unread is not None:
            await self._canaries.demand_readable(self._unread)

    def _count(self, page: Page) -> None:
        if self._progress is not None:
            self._progress = Progress(self._progress.read + len(page.raws), page.total)

    async def _note_missed(self, seen: Effects) -> None:
        """Count changes that webhooks should have reported, if webhooks are configured."""
        if self._account.has_signed_webhooks and seen.found_by_poll:
            self._missed_at = self._clock.now()
            await accounts.note_missed(
                self._pool, self._account.name, seen.found_by_poll, self._missed_at
            )

    async def _scan(
        self, state: AccountState, started_at: datetime, *, is_full: bool
    ) -> AsyncIterator[Lanes]:
        """Read everything, or a range; only a complete list shows which tasks may be deleted."""
        listed, shown = set[str](), list[str]()
        nameless = 0
        reading = self._source.scan() if is_full else self._source.between()
        old_by = _old_by(state)
        try:
            async with aclosing(read_ahead(reading)) as pages:
                async for page in pages:
                    listed.update(page.raws)
                    nameless = page.nameless
                    if len(shown) < ENOUGH and state.baseline_at is not None:
                        shown += await self._canaries.known_among(page.raws, started_at)
                    yield await self._take(page, state.watermark, old_by)
        except (SourceError, PayloadError):
            yield await self._process_appeared()
            raise
        yield await self._process_appeared()
        # A task that is read later would count as new once the baseline is complete.
        if isinstance(self._unread, SourceBroken) and state.baseline_at is None:
            raise self._unread
        self._unreadable.set_aside += [_NAMELESS] * nameless
        if state.baseline_at is None:
            await self._unreadable.demand_known_forms(listed)
            shown = await self._canaries.taken_in(listed, self._clock.now())
        covered = self._source.covered(whole=is_full)
        await self._missing.finish_scan(state, Scan(started_at, listed, covered), shown)
        await self._unreadable.demand_known_forms(listed)

    async def _take(
        self, page: Page, watermark: datetime | None = None, old_by: datetime | None = None
    ) -> Lanes:
        """Pass the changed tasks of a page to the engine; an unchanged one costs only a comparison.

        A task that was changed before `watermark` is late. A task that was created before `old_by`,
        and was not observed, waits until the scan is complete.
        """
        self._count(page)
        looks: list[Observation] = []
        missed: list[Key] = []
        for task_id, raw in await self._changed(page):
            try:
                looks += await self._look(task_id, raw, page.requested_at)
            except SourceBroken as error:
                self._unread = error
                missed.append((self._account.name, task_id))
        self._found = len(looks)
        self._note_late(looks, watermark)
        if looks and old_by is not None:
            looks = await self._set_apart(looks, old_by)
        return await self._observe(looks, missed) if looks or missed else frozenset()

    async def _set_apart(self, looks: Sequence[Observation], old_by: datetime) -> list[Observation]:
        """Set apart older tasks that appear for the first time, or again; returns the others.

        They are processed at the end of the scan, because their number decides how.
        """
        ids = [one.task_id for one in looks]
        async with self._pool.acquire() as connection:
            unseen = await tasks.unseen(connection, self._account.name, ids)
        others = list[Observation]()
        for one in looks:
            was_there = unseen.get(one.task_id)
            is_old = was_there or (was_there is False and _is_made_before(one, old_by))
            (self._appeared if is_old else others).append(one)
        return others

    async def _process_appeared(self) -> Lanes:
        """Process the older tasks that appeared: without events, if they are many at once."""
        looks, self._appeared = self._appeared, []
        if not looks:
            return frozenset()
        name, now = self._account.name, self._clock.now()
        async with self._pool.acquire() as connection:
            loss = await absences.loss(connection, name, now)
        are_old = are_many(len(looks), loss.present + loss.lately)
        looks = [replace(one, came_into_sight=are_old) for one in looks]
        lanes: Lanes = frozenset()
        for first in range(0, len(looks), _AT_ONCE):
            lanes |= await self._observe(looks[first : first + _AT_ONCE], [])
        if are_old:
            log.warning("poll.came_into_sight", account=name, tasks=len(looks))
            await accounts.note_appeared(self._pool, name, len(looks), now)
        return lanes

    async def _observe(self, looks: Sequence[Observation], missed: Sequence[Key]) -> Lanes:
        """Process these observations, except those whose content makes that impossible."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                # Every transaction locks tasks before lookups, to avoid deadlocks.
                tx = PostgresTransaction(connection)
                seen = await self._engine.observe(tx, looks)
                await tx.lookups.ask(missed, Cause.POLL, self._clock.now())
        except POISONOUS as error:
            if not looks:
                raise
            if len(looks) == 1:
                self._unreadable.leave_out(looks[0].task_id, error)
                return await self._observe([], missed)
            half = len(looks) // 2
            lanes = await self._observe(looks[:half], missed)
            return lanes | await self._observe(looks[half:], [])
        lanes = self._engine.after_commit(seen)
        await self._note_missed(seen)
        return lanes

    def _note_late(self, looks: Sequence[Observation], watermark: datetime | None) -> None:
        """Record the greatest delay of these changes, which an earlier poll should have shown."""
        if watermark is None:
            return
        now = self._clock.now()
        late = [now - one.version for one in looks if one.version and one.version < watermark]
        # Older changes are an import with old dates: each poll cannot go back that far.
        self._late = max([self._late, *(by for by in late if by <= _WIDEST)])

    async def _changed(self, page: Page) -> list[tuple[str, Raw]]:
        fingerprint = self._source.fingerprint
        prints = {task_id: fingerprint(raw) for task_id, raw in page.raws.items()}
        async with self._pool.acquire() as connection:
            changed = await tasks.changed(connection, self._account.name, prints)
        return [(task_id, page.raws[task_id]) for task_id in changed]

    async def _look(self, task_id: str, row: Raw, requested_at: datetime) -> list[Observation]:
        """The observation; [] for a task that cannot or may not be read, so that others can."""
        observed_at = self._clock.now() if self._source.refetches else requested_at
        try:
            raw = await self._source.enrich(row)
            if raw is None:
                return []
            return [self._source.observe(raw, observed_at, Cause.POLL)]
        except (SourceRejected, SourceUnauthorized, *UNREADABLE) as error:
            if isinstance(error, SourceUnauthorized):
                self._unread = self._unread or error
            self._unreadable.leave_out(task_id, error)
            return []

    async def _finish(
        self,
        state: AccountState,
        started_at: datetime,
        scanned_at: datetime | None,
        overlap: timedelta,
    ) -> None:
        now = self._clock.now()
        metrics.poll_seconds.labels(state.name).observe((now - started_at).total_seconds())
        pause = poll_pace.pause(
            self._account,
            now,
            webhook_at=state.webhook_at,
            missed_at=self._missed_at,
            scanned_at=scanned_at,
        )
        next_poll_at = now + pause * random.uniform(1 - _JITTER, 1)  # noqa: S311
        if not await accounts.finish_poll(
            self._pool,
            state,
            now=now,
            next_poll_at=next_poll_at,
            watermark=started_at,
            overlap=overlap,
        ):
            log.warning("poll.overtaken", account=state.name)

    async def _fail(self, state: AccountState, error: str, retry_after: timedelta | None) -> None:
        metrics.poll_errors.labels(state.name).inc()
        schedule = replace(retry.POLL, first=min(self._account.poll, retry.POLL.first))
        pause = schedule.after(state.failures + 1)
        now = self._clock.now()
        next_poll_at = now + max(pause, retry_after or pause)
        await accounts.fail_poll(self._pool, state, now=now, next_poll_at=next_poll_at, error=error)


def _old_by(state: AccountState) -> datetime | None:
    """A task created before this time should have been in the last complete scan."""
    if state.baseline_at is None or state.scanned_at is None:
        return None
    return state.scanned_at - max(state.overlap, _OVERLAP)


def _is_made_before(look: Observation, moment: datetime) -> bool:
    created = look.task.created_at if look.task is not None else None
    return created is not None and created < moment
