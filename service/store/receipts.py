"""Webhooks as they were received; each is stored before its sender gets a response.

Requests that arrive together share one statement and one flush to the disk: while one batch is
being committed, the next one is collected.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from time import monotonic
from typing import NamedTuple, TypeAlias

import orjson
import structlog
from asyncpg.exceptions import DeadlockDetectedError

from service.errors import TaskbellError
from service.store import DATABASE_ERRORS, Connection, Pool
from service.telemetry import tracing

log = structlog.get_logger()

Identity: TypeAlias = tuple[str, str]
"""An account's name and a receipt's key in it."""

BATCH_RECEIPTS = 500
BATCH_BYTES = 8 * 1024 * 1024
BACKLOG_BYTES = 64 * 1024 * 1024
FLUSH_SECONDS = 10
_MOST_DEADLOCKS = 3  # each takes PostgreSQL a second to find
_LATELY = 30.0  # seconds, for which it counts that receipts could not be kept
# Within which a body that has no name, and no date that its sender signs, is the same one caught
# and sent again, or sent twice because no answer came.
REPLAYED = timedelta(minutes=5)


class Backlogged(TaskbellError):
    """More receipts wait to be stored than this process may hold in memory."""


class NotKept(TaskbellError):
    """The database did not confirm the receipt; the sender has to send it again."""


class Receipt(NamedTuple):
    """One webhook: `headers` are allow-listed, `received_at` is when it began to arrive.

    `trace` is its place in a trace, a traceparent.

    A tuple, as ten thousand of them are created per second.
    """

    identity: Identity
    body: bytes
    headers: Mapping[str, str]
    received_at: datetime
    trace: str | None = None


def sender_key(name: bytes) -> str:
    """The key of a webhook with an id from its sender; a digest, as ids can be of any length."""
    return f"id:{blake2b(name, digest_size=20).hexdigest()}"


def body_key(body: bytes) -> str:
    """The key of a webhook without an id: a digest of its body."""
    return f"body:{blake2b(body, digest_size=20).hexdigest()}"


@dataclass(slots=True)
class _Batch:
    """Receipts that are committed together, and the requests that wait for their ids."""

    receipts: dict[Identity, Receipt] = field(default_factory=dict)
    waiters: list[tuple[Identity, asyncio.Future[int]]] = field(default_factory=list)
    size: int = 0

    def add(self, receipt: Receipt) -> asyncio.Future[int]:
        """The receipt's future id; the same receipt is written only once."""
        self.receipts[receipt.identity] = receipt
        self.size += len(receipt.body)
        future = asyncio.get_running_loop().create_future()
        self.waiters.append((receipt.identity, future))
        return future

    def answer(self, ids: Mapping[Identity, int]) -> None:
        for identity, future in self.waiters:
            if not future.done():
                future.set_result(ids[identity])

    def refuse(self) -> None:
        """Raise an error for all requests that have no id yet."""
        for _, future in self.waiters:
            if not future.done():
                future.set_exception(NotKept("The database cannot be written to at the moment"))

    @property
    def is_full(self) -> bool:
        return len(self.receipts) >= BATCH_RECEIPTS or self.size >= BATCH_BYTES


class ReceiptKeeper:
    """Stores receipts with group commit, and wakes up the workers after each batch.

    `ring` is called with the accounts of the receipts, and must not block. One batch is written at
    a time, over one connection for as long as there are receipts.
    """

    def __init__(self, pool: Pool, ring: Callable[[str], None]) -> None:
        self._pool = pool
        self._ring = ring
        self._waiting: deque[_Batch] = deque()
        self._waiting_bytes = 0
        self._flusher: asyncio.Task[None] | None = None
        self._lost: tuple[float, BaseException] | None = None

    @property
    def trouble(self) -> BaseException | None:
        """Why the last receipts could not be stored; None after a while, or after a success."""
        if self._lost is None or monotonic() > self._lost[0] + _LATELY:
            return None
        return self._lost[1]

    async def keep(self, receipt: Receipt) -> int:
        """Return the receipt's id, or that of the one it repeats, after the commit.

        Raises Backlogged, with nothing stored, and NotKept, if it is unknown whether it was stored.
        """
        if self._waiting_bytes + len(receipt.body) > BACKLOG_BYTES:
            raise Backlogged("Too much is waiting to be written; send this again in a moment")
        self._waiting_bytes += len(receipt.body)
        return await self._gathering().add(receipt)

    async def close(self) -> None:
        """Wait until every accepted receipt has a result."""
        if self._flusher is not None:
            await self._flusher

    def _gathering(self) -> _Batch:
        if not self._waiting or self._waiting[-1].is_full:
            self._waiting.append(_Batch())
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_all())
        return self._waiting[-1]

    async def _flush_all(self) -> None:
        try:
            while self._waiting:
                async with self._pool.acquire(timeout=FLUSH_SECONDS) as connection:
                    await self._flush_over(connection)
        except DATABASE_ERRORS as error:
            log.warning("receipts.not_kept", error=str(error), kind=type(error).__name__)
            self._lost = monotonic(), error
        finally:
            # Nobody is left without an answer, whatever it was that ended this.
            while self._waiting:
                self._let_go(self._waiting.popleft())

    async def _flush_over(self, connection: Connection) -> None:
        while self._waiting:
            batch = self._waiting.popleft()
            try:
                receipts = list(batch.receipts.values())
                with tracing.together("keep", [one.trace for one in receipts]):
                    batch.answer(await _insert(connection, receipts))
                self._lost = None
            finally:
                self._let_go(batch)
            for account in {account for account, _ in batch.receipts}:
                self._ring(account)
            log.debug("receipts.kept", receipts=len(batch.receipts), bytes=batch.size)

    def _let_go(self, batch: _Batch) -> None:
        self._waiting_bytes -= batch.size
        batch.refuse()


async def _insert(connection: Connection, receipts: Sequence[Receipt]) -> dict[Identity, int]:
    """The ids of these receipts, once they are stored.

    Workers may have locked some of them in another order, so that PostgreSQL aborts one of the two
    transactions: then the insert is started again.
    """
    for _ in range(_MOST_DEADLOCKS):
        with suppress(DeadlockDetectedError):
            return await _insert_all(connection, receipts)
        log.warning("receipts.met_a_deadlock", receipts=len(receipts), then="trying again")
    return await _insert_all(connection, receipts)


async def _insert_all(connection: Connection, receipts: Sequence[Receipt]) -> dict[Identity, int]:
    """Store new receipts and find known ones; a row may be pruned in between, hence the loop."""
    ids: dict[Identity, int] = {}
    while missing := [receipt for receipt in receipts if receipt.identity not in ids]:
        ids |= await _insert_new(connection, missing)
        if repeated := [one.identity for one in missing if one.identity not in ids]:
            ids |= await _find(connection, repeated)
    return ids


async def _insert_new(connection: Connection, receipts: Sequence[Receipt]) -> dict[Identity, int]:
    """Store new receipts, and reset processed ones that are identified only by their body.

    Thin webhooks repeat by nature: the same body after the first was processed means that there is
    a new change to read. A repetition within REPLAYED is not necessarily a new change: `said_at` is
    when the change was new. Ids follow arrival; rows are locked in the order of their keys, to
    avoid deadlocks between processes.
    """
    rows = await connection.fetch(
        """
        WITH new AS (
            SELECT nextval('receipts_id_seq') AS id, account, key, body, headers, received_at, trace
            FROM unnest($1::text[], $2::text[], $3::bytea[], $4::jsonb[], $5::timestamptz[],
                        $7::text[])
              AS new (account, key, body, headers, received_at, trace))
        INSERT INTO receipts AS old (id, account, key, body, headers, received_at, trace)
        OVERRIDING SYSTEM VALUE SELECT * FROM new ORDER BY account, key
        ON CONFLICT (account, key) DO UPDATE
        SET state = 'pending', repeats = old.repeats + 1, received_at = excluded.received_at,
            settled_at = NULL, reason = NULL, acknowledged_at = NULL, trace = excluded.trace,
            said_at = CASE
                WHEN old.state = 'done' AND coalesce(old.said_at, old.received_at)
                    BETWEEN excluded.received_at - $6::interval AND excluded.received_at + $6
                THEN coalesce(old.said_at, old.received_at) END
        WHERE old.state IN ('done', 'poison') AND starts_with(old.key, 'body:')
        RETURNING id, account, key
        """,
        [receipt.identity[0] for receipt in receipts],
        [receipt.identity[1] for receipt in receipts],
        [receipt.body for receipt in receipts],
        [orjson.dumps(receipt.headers).decode() for receipt in receipts],
        [receipt.received_at for receipt in receipts],
        REPLAYED,
        [receipt.trace for receipt in receipts],
        timeout=FLUSH_SECONDS,
    )
    return {(row["account"], row["key"]): row["id"] for row in rows}


async def _find(connection: Connection, identities: Sequence[Identity]) -> dict[Identity, int]:
    rows = await connection.fetch(
        """
        SELECT id, account, key FROM receipts
        JOIN unnest($1::text[], $2::text[]) AS wanted (account, key) USING (account, key)
        """,
        [account for account, _ in identities],
        [key for _, key in identities],
        timeout=FLUSH_SECONDS,
    )
    return {(row["account"], row["key"]): row["id"] for row in rows}
