"""Finds tasks that are missing from a complete list, and requests them by their ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from service.clock import Clock
from service.sources import Source
from service.store import Connection, Pool, absences, accounts, canaries, lookups
from service.store.accounts import AccountState
from service.store.lookups import Coverage
from workers.canaries import HANDFUL, Canaries, are_many, doubt

log = structlog.get_logger()

_MOST_MISSING = 200  # tasks that are missing from a list and read by id between two polls
_OPEN_OUTSIDE = 10  # open tasks beyond what lists show, of which each poll asks for so many by id


@dataclass(frozen=True, slots=True)
class Scan:
    """A complete list: when it was requested, its tasks, and the range it covers."""

    started_at: datetime
    listed: set[str]
    covered: Coverage

    @property
    def is_whole(self) -> bool:
        """Whether it covers every task."""
        return self.covered == Coverage()


class MissingTasks:
    """The tasks that are missing from the lists of one account."""

    def __init__(self, pool: Pool, source: Source, canaries: Canaries, clock: Clock) -> None:
        self._pool = pool
        self._account = source.account
        self._canaries = canaries
        self._clock = clock

    async def finish_scan(
        self,
        state: AccountState,
        scan: Scan,
        shown: list[str],
    ) -> None:
        """Request by id the tasks that the complete list should contain, and end the baseline."""
        shown = shown or await self._canaries.shown_by_id(scan.started_at)
        async with self._pool.acquire() as connection, connection.transaction():
            if not await self._record(connection, state, scan):
                return
            missing = await absences.missing(
                connection, state.name, scan.listed, scan.covered, scan.started_at
            )
            wanted = self._wanted(state, scan, missing)
            is_asking = bool(wanted or (missing and not shown))
            is_believed = await canaries.keep(connection, state.name, shown, is_asking=is_asking)
            if len(missing) > HANDFUL and not is_believed:
                raise doubt(state.name, len(missing))
            await absences.end(connection, state.name, scan.listed, scan.started_at)
            await absences.note(connection, state.name, scan.listed, wanted, scan.started_at)
            await absences.ask(
                connection,
                state.name,
                wanted,
                self._clock.now(),
                at_once=_MOST_MISSING,
                pause=self._account.poll,
            )
            if not scan.is_whole:
                # Some open tasks that it shows no more, or not yet.
                await lookups.ask_for_open_outside(
                    connection, state.name, scan.covered, _OPEN_OUTSIDE, self._clock.now()
                )
        self._note_loss(len(wanted), len(scan.listed))

    async def _record(self, connection: Connection, state: AccountState, scan: Scan) -> bool:
        """Record a complete scan; False if this poll has lost its lease."""
        if scan.is_whole:
            return await accounts.finish_scan(connection, state, scan.started_at)
        return await accounts.has_lease(connection, state)

    def _wanted(
        self, state: AccountState, scan: Scan, missing: Mapping[str, datetime | None]
    ) -> list[str]:
        """The missing tasks to request by id; tasks that lists never show are requested rarely."""
        if state.scan_asked_at is not None:
            return list(missing)
        return absences.unasked(missing, scan.started_at - self._account.full_scan)

    def _note_loss(self, missing: int, listed: int) -> None:
        """Log that a list shrank a lot; reads by id decide which tasks are deleted."""
        if are_many(missing, missing + listed):
            log.warning(
                "poll.list_shrank", account=self._account.name, listed=listed, missing=missing
            )
