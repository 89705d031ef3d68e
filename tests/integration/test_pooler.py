"""A pooler that leads each transaction to another session, as PgBouncer does: none keeps anything.

PgBouncer itself is in tests/real. Here something stands before the server that is told apart from
it, and what would be left in a session is looked for.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from service import store
from service.clock import VirtualClock
from tests.harness.corridor import corridor

_KEY = b"K\x00\x00\x00\x0c"  # how a server begins to say which process is at the other end

LEFT = "SELECT count(*) FROM pg_prepared_statements"
BOUND = "SELECT setting FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"


class Pooler:
    """Hands everything on between a client and the server, and names another process to it."""

    def __init__(self, server: Path) -> None:
        self._server = server

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection(str(self._server))
        await asyncio.gather(self._hand_on(reader, ours), self._hand_back(theirs, writer))

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _hand_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            before, key, after = data.partition(_KEY)
            writer.write(before + key + (b"\x80\x00\x00\x01" + after[4:] if key else b""))
        writer.close()


@pytest.fixture
async def pooled(database_url: str, folder: Path) -> AsyncIterator[str]:
    """The address of the pooler before this test's database."""
    parts = urlsplit(database_url)
    pooler = Pooler(Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432")
    place = folder / ".s.PGSQL.5432"
    async with await asyncio.start_unix_server(pooler.accept, place):
        yield parts._replace(query=f"host={folder}").geturl()


async def test_what_stands_before_the_server_is_found(pooled: str, database_url: str) -> None:
    """By itself: no statement and no setting is left in a session that is also used by others."""
    async with await store.connect(pooled, size=1) as pool:
        await pool.fetch("SELECT name FROM accounts WHERE name = $1", "field")
        assert await pool.fetchval(LEFT) == 0
        assert await pool.fetchval(BOUND) == "0"
    async with await store.connect(database_url, size=1) as pool:
        await pool.fetch("SELECT name FROM accounts WHERE name = $1", "field")
        assert await pool.fetchval(LEFT) > 0
        assert await pool.fetchval(BOUND) == "60000"


async def test_a_pooler_may_be_named(database_url: str) -> None:
    """Where it cannot be told apart from the server."""
    parts = urlsplit(database_url)
    named = parts._replace(query=f"{parts.query}&pgbouncer=true").geturl()
    async with await store.connect(named, size=1) as pool:
        await pool.fetch("SELECT name FROM accounts WHERE name = $1", "field")
        assert await pool.fetchval(LEFT) == 0


async def test_large_answers_leave_nothing_either(pooled: str) -> None:
    """They are read bit by bit, within a transaction, and in between other things are asked."""
    async with await store.connect(pooled, size=1) as pool:
        async with pool.acquire() as connection, connection.transaction():
            read = []
            query = "SELECT number FROM generate_series($1::int, 5) AS number"
            async for rows in store.read_through(connection, query, 2, at_once=3):
                read.append([row["number"] for row in rows])
                await connection.fetchval("SELECT $1::int", 1)
        assert read == [[2, 3, 4], [5]]
        assert await pool.fetchval(LEFT) == 0


async def test_what_a_pooler_says_of_its_server_may_be_old(pooled: str) -> None:
    """It would be asked for new connections all the time, and none would be better."""
    async with await store.connect(pooled, size=1) as pool:
        await pool.execute("SET default_transaction_read_only = on")
        before = await pool.fetchval("SELECT pg_backend_pid()")
        assert await pool.fetchval("SELECT pg_backend_pid()") == before


async def test_a_whole_way_leads_through_it(pooled: str, clock: VirtualClock, folder: Path) -> None:
    """From the webhook to the message: nothing is asked that a pooler does not understand."""
    rules = "- { id: book, when: task.created, then: [{ notify: accounting }] }"
    async with (
        await store.connect(pooled) as pool,
        corridor(folder, pool, clock, rules) as taskbell,
    ):
        await taskbell.begin()
        await taskbell.webhook({"id": taskbell.visit()["id"]})
        await taskbell.look_up()
        await taskbell.tick()
        await taskbell.deliver()
        assert await taskbell.states() == ["sent"]
