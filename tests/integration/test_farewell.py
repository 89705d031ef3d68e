"""A database whose connections say that they end, and hang up a moment later.

So does PostgreSQL when its postmaster is killed. Whatever is asked in between is answered by the
library, with an error of its own.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from service import store
from service.clock import VirtualClock
from service.store.receipts import NotKept, Receipt, ReceiptKeeper, body_key
from tests.harness.corridor import corridor
from tests.harness.receivers import Answer
from tests.harness.waiting import eventually

RULES = "- { id: tell, when: task.created, then: [{ notify: accounting }] }"
_FIELDS = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0"
FAREWELL = b"E" + struct.pack("!i", len(_FIELDS) + 4) + _FIELDS


class Farewell:
    """A way to a real PostgreSQL, over TCP, on which it can end every connection in two steps."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._callers: list[asyncio.StreamWriter] = []

    async def accept(self, reader: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        self._callers.append(caller)
        answers, there = await asyncio.open_unix_connection(self._socket)
        await asyncio.gather(_carry(reader, there), _carry(answers, caller))

    async def say(self) -> None:
        for caller in self._callers:
            caller.write(FAREWELL)
        await asyncio.sleep(0.05)

    def hang_up(self) -> None:
        for caller in self._callers:
            caller.close()
        self._callers.clear()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while some := await reader.read(65536):
            writer.write(some)
    writer.close()


@asynccontextmanager
async def ending(url: str) -> AsyncIterator[tuple[Farewell, store.Pool]]:
    """The database at this address, and a pool of connections whose end can be said."""
    parts = urlsplit(url)
    farewell = Farewell(f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432")
    async with await asyncio.start_server(farewell.accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        way = f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
        async with await store.connect(way) as pool:
            yield farewell, pool
        farewell.hang_up()


async def test_an_answer_is_written_down_over_the_next_connection(
    database_url: str, clock: VirtualClock, folder: Path
) -> None:
    """It comes just then: it is kept until it can be written, and nothing is sent again."""
    async with (
        ending(database_url) as (farewell, pool),
        corridor(folder, pool, clock, RULES) as taskbell,
    ):
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit())
        lane = taskbell.worker.lanes["accounting"]
        taskbell.accounting.reply(Answer(after=(answered := asyncio.Event())))
        assert await lane.batch()
        await eventually(taskbell.is_accounting_told)
        await farewell.say()
        answered.set()
        await asyncio.sleep(0.3)
        farewell.hang_up()
        async with asyncio.timeout(5):
            await lane.rest()
        assert await taskbell.states() == ["sent"]
        assert len(taskbell.accounting.requests) == 1


async def test_a_webhook_is_refused_and_the_next_one_is_kept(
    database_url: str, clock: VirtualClock
) -> None:
    """Its sender is told to come again; what keeps receipts ends in good order."""
    async with ending(database_url) as (farewell, pool):
        keeper = ReceiptKeeper(pool, lambda _: None)
        receipt = Receipt(("field", body_key(b"1")), b"1", {}, clock.now())
        await farewell.say()
        with pytest.raises(NotKept):
            await keeper.keep(receipt)
        await keeper.close()
        farewell.hang_up()
        await asyncio.sleep(0.05)
        assert await keeper.keep(receipt)
        await keeper.close()
