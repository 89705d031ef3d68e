"""Receipts become observations: what came in by webhook is read and handed to the engine."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, TypeVar

import structlog

from service.clock import Clock
from service.domain.model import Cause, Kind, Observation, Signal
from service.engine import Effects, Engine
from service.engine.postgres import PostgresTransaction
from service.errors import PayloadError
from service.http.json_body import aside, decoded
from service.outbox import Lanes
from service.sources import Raw, Source
from service.sources.payload import FullTask, Sighting, TaskRef, TooManyTold, Unread, read
from service.store import Connection, Pool, accounts, announcements, lookups, receipt_queue, tasks
from service.store.announcements import Announcement
from service.store.receipt_queue import Pending
from service.store.tasks import Key
from service.telemetry import tracing
from workers.awaiting import HEARD
from workers.poison import POISONOUS, UNREADABLE
from workers.poison import reason as reason_of

log = structlog.get_logger()

Thing = TypeVar("Thing")

# How many receipts are taken together. Of those that cannot be done as a whole, ever smaller
# beginnings are tried, until the one that is at fault stands alone.
BATCHES = (200, 25, 3)
BATCH_BYTES = 1024 * 1024
# How many looks the engine takes at once, where a webhook tells of many tasks: the process is at
# none of its other work meanwhile.
_STEP = 100
# Of more hints in one webhook none is read by its id: to read the whole account takes fewer calls.
_MOST_HINTS = 200
# An account's row is written no more often than that, however many webhooks come.
_NOTED_EVERY = timedelta(seconds=1)

_UNKNOWN = "waits: task {} is not known yet and is read"
_HEARD_ALREADY = "the same came again within minutes: its signal was heard once"
_FEW = 3  # reasons of one receipt that are told
_READ_WHOLE = "{}: all of the account is read instead"


@dataclass(frozen=True, slots=True)
class _Pushed:
    """A look at a task, the JSON that it was read from, and the receipt of that."""

    look: Observation
    raw: Raw
    receipt: int


Found: TypeAlias = _Pushed | Announcement | Unread
"""A look at a task; or what has to be read by id to be seen, or to be known for a signal;
or what says nothing."""


@dataclass(slots=True)
class _Read:
    """What receipts said, sorted by what has to be done about it.

    `unread` is of which rows of lists nothing can be read, and why. `unheard` have signals that
    were heard when they came first. `too_many` are those that tell of more than is taken from one,
    and of what.
    """

    receipts: list[Pending] = field(default_factory=list)
    pushed: list[_Pushed] = field(default_factory=list)
    hints: list[Announcement] = field(default_factory=list)
    signals: list[Announcement] = field(default_factory=list)
    unread: dict[int, list[Unread]] = field(default_factory=lambda: defaultdict(list))
    unheard: list[int] = field(default_factory=list)
    too_many: list[tuple[int, str]] = field(default_factory=list)

    def pass_over(self, receipt: Pending, error: TooManyTold) -> None:
        """Take nothing from this one: all of its account is read."""
        self.receipts.append(receipt)
        self.too_many.append((receipt.id, str(error)))

    def add(self, receipt: Pending, said: Iterable[Found]) -> None:
        self.receipts.append(receipt)
        for one in said:
            if isinstance(one, _Pushed):
                self.pushed.append(one)
            elif isinstance(one, Unread):
                self.unread[receipt.id].append(one)
            elif one.signal and receipt.is_replay:
                self.unheard.append(receipt.id)
            else:
                (self.signals if one.signal else self.hints).append(one)

    def origins(self, told: Iterable[tuple[Key, int]]) -> dict[tracing.Key, str | None]:
        """The traces of the receipts that told of tasks: of the last one, where there are some."""
        traces = {receipt.id: receipt.trace for receipt in self.receipts}
        return {key: traces.get(receipt) for key, receipt in told}

    @property
    def told_at(self) -> datetime | None:
        """When the last of these came; None where they told of no task, as signals do not."""
        if not (self.pushed or self.hints or self.too_many):
            return None
        return max(receipt.received_at for receipt in self.receipts)


@dataclass(frozen=True, slots=True)
class Ingested:
    """How many receipts were taken, what came of it, and whether tasks are to be read by id.

    `told_at` is when the last one came, if they told of tasks.
    """

    count: int
    after: Effects = field(default_factory=Effects)
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
        self._engine.after_commit(done.after)
        # Not in the transaction: an account's row is what its poll locks first.
        if done.told_at is not None and done.told_at >= self._noted_at + _NOTED_EVERY:
            self._noted_at = done.told_at
            await accounts.note_webhook(self._pool, self._account, done.told_at)
        return done

    async def _take(self, limit: int) -> Ingested:
        async with self._pool.acquire() as connection, connection.transaction():
            pending = await receipt_queue.claim(connection, self._account, limit, BATCH_BYTES)
            if not pending:
                return Ingested(0)
            with tracing.together("ingest", [one.trace for one in pending], account=self._account):
                return await self._work_off(connection, pending)

    async def _take_one(self) -> Ingested:
        """Take the oldest receipt; if it is the one that cannot be read, set it aside."""
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
        after, unproven = await self._observe(connection, found)
        unheard = list[Announcement]()
        for signals in _steps(found.signals, lambda one: one.key):
            heard, unknown = await self._hear(connection, found, signals)
            after, unheard = after | heard, [*unheard, *unknown]
        await receipt_queue.settle(connection, found.receipts, self._clock.now())
        await receipt_queue.note(connection, found.unheard, _HEARD_ALREADY)
        for receipt, unread in found.unread.items():
            what = (
                "one of its tasks was" if len(unread) == 1 else f"{len(unread)} of its tasks were"
            )
            await receipt_queue.note(connection, [receipt], f"{what} not read: {_in_short(unread)}")
        for receipt, why in found.too_many:
            await receipt_queue.note(connection, [receipt], _READ_WHOLE.format(why))
        await self._wait_for(connection, [*unproven, *found.hints, *unheard])
        for one in unheard:
            await receipt_queue.note(connection, [one.receipt], _UNKNOWN.format(one.key[1]))
        log.debug("receipts.ingested", receipts=len(pending), looks=len(found.pushed))
        is_asking = bool(found.hints or unheard or unproven)
        return Ingested(len(pending), after, is_asking, found.told_at)

    async def _observe(
        self, connection: Connection, found: _Read
    ) -> tuple[Effects, list[Announcement]]:
        """Take in what was pushed; returns also what of it is not to be seen yet."""
        after, unproven = Effects(), list[Announcement]()
        for step in _steps(found.pushed, lambda one: (one.look.account, one.look.task_id)):
            looks = [one.look for one in step]
            with tracing.coming_from(
                found.origins(((one.look.account, one.look.task_id), one.receipt) for one in step)
            ):
                seen = await self._engine.observe(PostgresTransaction(connection), looks)
            unproven += _unproven(step, seen)
            after |= seen
        return after, unproven

    async def _hear(
        self, connection: Connection, found: _Read, signals: Sequence[Announcement]
    ) -> tuple[Effects, list[Announcement]]:
        """Hear signals about tasks that are known, and before them those that waited for it.

        Returns also the signals about tasks that are not known.
        """
        keys = [one.key for one in signals]
        waited = await announcements.take_signals(connection, keys)
        await receipt_queue.note(connection, [one.receipt for one in waited], HEARD)
        known = await tasks.present(connection, keys)
        heard = [*waited, *(one for one in signals if one.key in known)]
        with tracing.coming_from(found.origins((one.key, one.receipt) for one in heard)):
            told = [_signal(one) for one in heard]
            after = await self._engine.take_signals(PostgresTransaction(connection), told)
        return after, [one for one in signals if one.key not in known]

    async def _wait_for(self, connection: Connection, announced: Sequence[Announcement]) -> None:
        """Have the tasks read until they show what was announced, or can be told of a signal."""
        keys, receipts = [one.key for one in announced], [one.receipt for one in announced]
        # In this order, as where a task was read: so that neither waits for the other.
        await announcements.keep(connection, announced)
        await lookups.ask(connection, keys, Cause.WEBHOOK, self._clock.now(), receipts)

    async def _read_all(self, connection: Connection, pending: Sequence[Pending]) -> _Read:
        """Sort what the receipts say, and set aside those that say nothing."""
        found = _Read()
        for receipt in pending:
            try:
                found.add(receipt, await aside(len(receipt.body), self._read, receipt))
            except TooManyTold as error:
                if error.of_signals:
                    # No reading of tasks shows these.
                    await self._set_aside(connection, receipt, error)
                else:
                    found.pass_over(receipt, error)
            except UNREADABLE as error:
                await self._set_aside(connection, receipt, error)
        return found

    def _read(self, receipt: Pending) -> list[Found]:
        sightings = read(self._source, decoded(receipt.body))
        found = [_found(self._source, receipt, sighting) for sighting in sightings]
        if found and all(isinstance(one, Unread) for one in found):
            raise PayloadError(_in_short([one for one in found if isinstance(one, Unread)]))
        _demand_few(found)
        return found

    async def _set_aside(
        self, connection: Connection, receipt: Pending, error: BaseException
    ) -> None:
        reason = reason_of(error)
        await receipt_queue.set_aside(connection, receipt, reason, self._clock.now())
        log.warning("receipt.poison", receipt=receipt.id, account=receipt.account, reason=reason)


def _steps(many: Sequence[Thing], key: Callable[[Thing], Key]) -> list[Sequence[Thing]]:
    """The same in portions, of about so many as one batch of webhooks usually has.

    Where they are several, tasks come in the order in which they are locked on every road.
    """
    if len(many) <= BATCHES[0]:
        return [many] if many else []
    ordered = sorted(many, key=key)
    return [ordered[first : first + _STEP] for first in range(0, len(ordered), _STEP)]


def _in_short(unread: Sequence[Unread]) -> str:
    """Why rows were not read: the first of different reasons."""
    reasons = list(dict.fromkeys(one.reason for one in unread))
    return "; ".join(reasons[:_FEW]) + ("; …" if len(reasons) > _FEW else "")


def _demand_few(found: Sequence[Found]) -> None:
    """Raise TooManyTold where reading the tasks by their ids would take too many calls."""
    announced = [one for one in found if isinstance(one, Announcement)]
    if len(announced) > _MOST_HINTS:
        signals = any(one.signal for one in announced)
        what = "signals" if signals else "tasks by their ids only"
        raise TooManyTold(f"more than {_MOST_HINTS} {what}", of_signals=signals)


def _unproven(step: Sequence[_Pushed], after: Effects) -> list[Announcement]:
    """What of these was pushed and is not to be seen yet."""
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


def _found(source: Source, receipt: Pending, sighting: Sighting) -> Found:
    """What one sighting says, if anything: one task's defect costs no other anything."""
    try:
        return _said(source, receipt, sighting)
    except UNREADABLE as error:
        return Unread(reason_of(error))


def _said(source: Source, receipt: Pending, sighting: Sighting) -> Found:
    """What one receipt says; a body seen before is only a hint to look again."""
    at = receipt.received_at
    match sighting:
        case FullTask() if not receipt.repeats:
            look = source.observe(
                sighting.raw, at, Cause.WEBHOOK, pushed=True, announced=sighting.announced
            )
            return _Pushed(look, sighting.raw, receipt.id)
        case FullTask():
            key = receipt.account, source.parse(sighting.raw).id
            return Announcement(key, receipt.id, Kind.CHANGED, at)
        case TaskRef():
            key = receipt.account, sighting.task_id
            return Announcement(
                key,
                receipt.id,
                sighting.announced,
                at,
                sighting.content,
                is_repeat=receipt.repeats > 0,
            )
        case Unread():
            return sighting
        case _:
            key = receipt.account, sighting.task_id
            return Announcement(key, receipt.id, Kind.SIGNAL, at, signal=sighting.name)


def _signal(kept: Announcement) -> Signal:
    return Signal(*kept.key, kept.signal, kept.at)
