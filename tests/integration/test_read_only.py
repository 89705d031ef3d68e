"""A database that only reads for a while, as one whose disk is full or a primary that was demoted.

A session that was opened then goes on so: whoever keeps it would refuse work long after the end.
"""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from service import store
from service.cli.doctor.findings import AccountHealth
from service.cli.doctor.local import examine_database
from service.clock import VirtualClock
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.conftest import only_reading
from tests.harness.site import site

AT_ONCE = 6


async def test_the_door_is_open_as_soon_as_it_is_over(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey, database_url: str
) -> None:
    """Meanwhile webhooks are refused and the rest is shown; the first one after it is kept."""
    async with site(tmp_path, pool, clock, valkey.url) as web:

        async def answers() -> set[int]:
            asked = [web.client.get("/api/v1/tasks") for _ in range(AT_ONCE)]
            return {answer.status_code for answer in await asyncio.gather(*asked)}

        await answers()
        async with only_reading(database_url):
            assert {(await web.post("open", b"{}")).status_code for _ in range(3)} == {503}
            assert await answers() == {200}
        posted = [web.post("open", b'{"id": %d}' % number) for number in range(AT_ONCE)]
        assert {answer.status_code for answer in await asyncio.gather(*posted)} == {202}
        assert await answers() == {200}
        for number in range(AT_ONCE):
            assert (await web.post("open", b"[%d]" % number)).status_code == 202


async def test_a_pool_that_was_opened_meanwhile_writes_afterwards(database_url: str) -> None:
    """None of its connections was used by then; they are replaced all the same."""
    async with only_reading(database_url):
        pool = await store.connect(database_url)
    await store.migrate(pool)
    async with pool.acquire() as connection:
        await store.try_write(connection)
    await pool.close()


async def test_a_session_is_replaced_once_it_could_not_write(pool: Pool) -> None:
    """As behind a pooler, which keeps to itself what a server says: all it shows is the error."""
    before = await pool.fetchval("SELECT pg_backend_pid()")
    with pytest.raises(asyncpg.exceptions.ReadOnlySQLTransactionError):
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await store.try_write(connection)
    assert await pool.fetchval("SELECT pg_backend_pid()") != before


async def test_the_doctor_tries_to_write(database_url: str) -> None:
    """It does not take a database for sound that only answers."""
    async with only_reading(database_url):
        [found] = await examine_database(database_url, None)
    assert found.verdict is AccountHealth.WRONG
    assert found.says.startswith("it cannot be written to: cannot execute INSERT in a read-only")
    assert found.advice is not None
    assert "target_session_attrs=read-write" in found.advice
    [found] = await examine_database(database_url, None)
    assert found.verdict is AccountHealth.FINE
