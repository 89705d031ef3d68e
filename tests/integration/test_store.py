"""The migrations, and the servers the tests stand on."""

import asyncio
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import asyncpg
import pytest

from service import store
from service.doorbell import Doorbell
from service.processes.embedded import EmbeddedValkey
from service.store.pool import Opening
from tests.harness.waiting import eventually

if TYPE_CHECKING:
    Session: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Session = asyncpg.Connection

TWO_TABLES = ("0051_unsent.sql", "0052_replays.sql")


async def test_migrating_twice_does_nothing_the_second_time(pool: store.Pool) -> None:
    """A database that has every migration is left as it is."""
    assert await store.migrate(pool) == []


async def test_many_processes_may_migrate_at_once(database_url: str) -> None:
    """Web and workers start on an empty database, and somebody asks whether they are ready."""
    async with await store.connect(database_url) as pool:
        await pool.execute("DROP SCHEMA public CASCADE")
        await pool.execute("CREATE SCHEMA public")
        asked = (_pending(pool) for _ in range(4))
        migrated = [store.migrate(pool) for _ in range(4)]
        done = await asyncio.gather(*migrated, *asked)
        assert len([names for names in done[:4] if names]) == 1
        assert await _pending(pool) == []


async def test_a_migration_that_meets_a_deadlock_is_done_anew(pool: store.Pool) -> None:
    """The version at work has one table and wants the other, which the migration has."""
    await pool.execute("DELETE FROM migrations WHERE name IN ($1, $2)", *TWO_TABLES)
    await pool.execute("ALTER TABLE deliveries DROP COLUMN unsent")
    await pool.execute("ALTER TABLE receipts DROP COLUMN said_at")
    async with pool.acquire() as at_work, at_work.transaction():
        await at_work.execute("SET LOCAL deadlock_timeout = '1h'")  # not this one is to be ended
        await at_work.execute("LOCK TABLE receipts IN ROW EXCLUSIVE MODE")
        migrating = asyncio.create_task(store.migrate(pool))
        await eventually(lambda: pool.fetchval("SELECT true FROM pg_locks WHERE NOT granted"))
        await at_work.execute("LOCK TABLE deliveries IN ROW EXCLUSIVE MODE")
    assert await migrating == list(TWO_TABLES)


async def _pending(pool: store.Pool) -> list[str]:
    async with pool.acquire() as connection:
        return [migration.name for migration in await store.pending(connection)]


async def test_the_doorbell_server_answers(valkey: EmbeddedValkey) -> None:
    """The embedded Valkey speaks Redis on the address it names."""
    doorbell = Doorbell(valkey.url)
    assert await doorbell.trouble() is None
    await doorbell.close()


class Silent(Session):
    """A connection on which no answer comes."""

    made: ClassVar[list["Silent"]] = []

    async def execute(self, *args: object, **options: object) -> str:
        del args, options
        self.made.append(self)
        return await asyncio.Future[str]()


async def test_a_connection_that_is_given_up_as_it_is_opened_is_closed(database_url: str) -> None:
    """Nobody else knows of it: it would take up a place at the server for as long as we run."""
    opening = Opening(is_pooled=False)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await opening(database_url, connection_class=Silent)
    [given_up] = Silent.made
    assert given_up.is_closed()


async def test_a_second_connection_knows_the_types_of_the_first(database_url: str) -> None:
    """What PostgreSQL's own types are is asked once per process; types of our own each time."""
    asked: list[str] = []
    async with await store.connect(database_url) as pool:
        await pool.execute("CREATE TYPE color AS ENUM ('red')")
        await pool.fetchrow("SELECT $1::timestamptz[], $2::bytea[]", [], [])
        async with pool.acquire(), pool.acquire() as second, pool.acquire() as third:
            for connection in (second, third):
                connection.add_query_logger(lambda record: asked.append(record.query))
            for connection in (second, third):
                row = await connection.fetchrow("SELECT $1::timestamptz[], $2::bytea[]", [], [b"x"])
                assert row is not None
                assert tuple(row) == ([], [b"x"])
            await asyncio.sleep(0)
            assert len(asked) == 2
            for connection in (second, third):
                assert await connection.fetchval("SELECT $1::color[]", ["red"]) == ["red"]
            await asyncio.sleep(0)
            assert len([one for one in asked if "typeinfo" in one]) == 2
