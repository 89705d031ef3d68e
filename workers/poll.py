"""Polling: reading an account's list, page by page, and what a complete list proves."""

import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta

import structlog

from service import metrics, pacing
from service.books.database import DatabaseBooks
from service.clock import Clock
from service.engine import Consequences, Engine
from service.errors import PayloadError, SourceBroken, SourceError, SourceRefused, SourceRejected
from service.model import Cause, Observation
from service.outbox import Lanes
from service.sources import Page, Raw, Source
from service.sources.reading import read_ahead
from service.store import Pool, accounts, canaries, lookups, tasks
from service.store.accounts import AccountState, Progress
from service.store.tasks import Key
from workers.canaries import ENOUGH, HANDFUL, Canaries, doubt

log = structlog.get_logger()

# How long a poll stays with a process that gives no sign of life; one at work renews it.
LEASE = timedelta(seconds=30)
_OVERLAP = timedelta(minutes=2)  # a change may be committed over there after a later one is shown
_JITTER = 0.1
# After a failure: an account that is seldom polled should not be unread for an hour over a hiccup.
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)
# A list that shrank by more than this share, and by more than a handful, is suspicious.
_BELIEVABLE_LOSS = 0.1


class Poll:
    """Polls one account."""

    def __init__(self, pool: Pool, engine: Engine, source: Source, clock: Clock) -> None:
        self._pool = pool
        self._engine = engine
        self._source = source
        self._clock = clock
        self._account = source.account
        self._canaries = Canaries(pool, source)
        self._unread: SourceBroken | SourceRefused | None = None
        self._missed_at: datetime | None = None
        self._progress: Progress | None = None

    async def run(self, state: AccountState) -> AsyncIterator[Lanes]:
        """Read what has changed, or everything when that is due; yields the lanes to ring."""
        started_at, self._unread = self._clock.now(), None
        self._missed_at = state.missed_at
        is_scan = self._wants_everything(state, started_at)
        self._progress = Progress() if is_scan else None
        reading = self._scan(state, started_at) if is_scan else self._read_recent(state)
        try:
            async for lanes in reading:
                yield lanes
            await self._demand_readable()
        except (SourceError, PayloadError) as error:
            log.warning("poll.failed", account=state.name, error=str(error))
            await self._fail(state, str(error), getattr(error, "retry_after", None))
        else:
            scanned_at = started_at if is_scan else state.scanned_at
            await self._finish(state, started_at, scanned_at)

    async def keep_lease(self, state: AccountState) -> bool:
        """Say that this poll is still going on; False if it is to end: it is another's by now."""
        until = self._clock.now() + LEASE
        return await accounts.keep_lease(self._pool, state, until, self._progress)

    async def crash(self, state: AccountState, error: Exception) -> None:
        """Show with the account that its poll ended by a defect of Taskbell's own."""
        says = f"internal error: {type(error).__name__}; the worker's log has the details"
        await self._fail(state, says, None)

    def _wants_everything(self, state: AccountState, now: datetime) -> bool:
        if state.scanned_at is None or state.scan_asked_at is not None:
            return True
        return now - state.scanned_at >= self._account.full_scan

    async def _read_recent(self, state: AccountState) -> AsyncIterator[Lanes]:
        since = (state.watermark or state.added_at) - _OVERLAP
        async with aclosing(read_ahead(self._source.recent(since))) as pages:
            async for page in pages:
                yield await self._take(page)

    async def _demand_readable(self) -> None:
        if self._unread is not None:
            await self._canaries.demand_readable(self._unread)

    def _count(self, page: Page) -> None:
        if self._progress is not None:
            self._progress = Progress(self._progress.read + len(page.raws), page.total)

    async def _note_missed(self, seen: Consequences) -> None:
        """Remember that webhooks, where there are any, did not tell this."""
        if self._account.webhook is not None and seen.found_by_poll:
            self._missed_at = self._clock.now()
            await accounts.note_missed(
                self._pool, self._account.name, seen.found_by_poll, self._missed_at
            )

    async def _scan(self, state: AccountState, started_at: datetime) -> AsyncIterator[Lanes]:
        """Read everything; only a list that came to its end says anything about what is gone."""
        listed, shown = set[str](), list[str]()
        nameless = 0
        async with aclosing(read_ahead(self._source.scan())) as pages:
            async for page in pages:
                listed.update(page.raws)
                nameless = page.nameless
                if len(shown) < ENOUGH and state.baseline_at is not None:
                    shown += await self._canaries.known_among(page.raws, started_at)
                yield await self._take(page)
        # What is read later would pass for news once the baseline is complete.
        if isinstance(self._unread, SourceBroken) and state.baseline_at is None:
            raise self._unread
        if state.baseline_at is None:
            shown = await self._canaries.taken_in(listed, self._clock.now())
        await self._finish_scan(state, listed, shown, started_at, nameless)

    async def _take(self, page: Page) -> Lanes:
        """Hand the changed tasks of a page to the engine; an unchanged one costs a comparison."""
        self._count(page)
        looks: list[Observation] = []
        unread: list[Key] = []
        for task_id, raw in await self._changed(page):
            try:
                looks += await self._look(task_id, raw, page.requested_at)
            except SourceBroken as error:
                self._unread = error
                unread.append((self._account.name, task_id))
        if not looks and not unread:
            return frozenset()
        async with self._pool.acquire() as connection, connection.transaction():
            # Tasks are locked before lookups on every road, so that none waits for another.
            seen = await self._engine.observe(DatabaseBooks(connection), looks)
            await lookups.ask(connection, unread, Cause.POLL, self._clock.now())
        lanes = self._engine.committed(seen)
        await self._note_missed(seen)
        return lanes

    async def _changed(self, page: Page) -> list[tuple[str, Raw]]:
        fingerprint = self._source.fingerprint
        prints = {task_id: fingerprint(raw) for task_id, raw in page.raws.items()}
        async with self._pool.acquire() as connection:
            changed = await tasks.changed(connection, self._account.name, prints)
        return [(task_id, page.raws[task_id]) for task_id in changed]

    async def _look(self, task_id: str, row: Raw, requested_at: datetime) -> list[Observation]:
        """[] for a task that cannot or may not be read: it must not keep others from being seen."""
        observed_at = self._clock.now() if self._source.rereads else requested_at
        try:
            raw = await self._source.enrich(row)
            if raw is None:
                return []
            return [self._source.look(raw, observed_at, Cause.POLL)]
        except (PayloadError, SourceRejected, SourceRefused) as error:
            if isinstance(error, SourceRefused):
                self._unread = self._unread or error
            metrics.poll_errors.labels(self._account.name).inc()
            log.warning(
                "task.unreadable", account=self._account.name, task=task_id, error=str(error)
            )
            return []

    async def _finish_scan(
        self,
        state: AccountState,
        listed: set[str],
        shown: list[str],
        started_at: datetime,
        nameless: int,
    ) -> None:
        """Ask by id for tasks that the complete list should have had, and end the baseline."""
        shown = shown or await self._canaries.shown_by_id(started_at)
        warning = f"{nameless} rows without an id in the list of tasks" if nameless else None
        async with self._pool.acquire() as connection, connection.transaction():
            if not await accounts.finish_scan(connection, state, started_at, warning):
                return
            missing = await lookups.ask_for_unlisted(
                connection,
                state.name,
                listed,
                self._source.listed_starts(),
                started_at,
                self._clock.now(),
            )
            is_believed = await canaries.keep(connection, state.name, shown, missing)
            if missing > HANDFUL and not is_believed:
                raise doubt(state.name, missing)
        self._note_loss(missing, len(listed))

    def _note_loss(self, missing: int, listed: int) -> None:
        """Say so when a list shrank a lot; what is gone is told by the answers for each task."""
        if missing > max(HANDFUL, _BELIEVABLE_LOSS * (missing + listed)):
            log.warning(
                "poll.list_shrank", account=self._account.name, listed=listed, missing=missing
            )

    async def _finish(
        self, state: AccountState, started_at: datetime, scanned_at: datetime | None
    ) -> None:
        now = self._clock.now()
        metrics.poll_seconds.labels(state.name).observe((now - started_at).total_seconds())
        pause = pacing.pause(
            self._account,
            now,
            webhook_at=state.webhook_at,
            missed_at=self._missed_at,
            scanned_at=scanned_at,
        )
        next_poll_at = now + pause * random.uniform(1 - _JITTER, 1)  # noqa: S311
        if not await accounts.finish_poll(
            self._pool, state, now=now, next_poll_at=next_poll_at, watermark=started_at
        ):
            log.warning("poll.overtaken", account=state.name)

    async def _fail(self, state: AccountState, error: str, retry_after: timedelta | None) -> None:
        metrics.poll_errors.labels(state.name).inc()
        first = min(self._account.poll, _FIRST_PAUSE)
        pause = pacing.backoff(first, state.failures, _LONGEST_PAUSE)
        now = self._clock.now()
        next_poll_at = now + max(pause, retry_after or pause)
        await accounts.fail_poll(self._pool, state, now=now, next_poll_at=next_poll_at, error=error)
