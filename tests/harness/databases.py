"""Migrated, empty databases for tests: used again, because PostgreSQL takes long to make one.

Making a database takes half a second, emptying one a few milliseconds. One that a test has left
with another schema or other settings than it had, or with many rows, is thrown away. Its pool is
used again too: a new connection takes ten times as long for each statement that it sees first.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from service import store

_TEMPLATE = "template_taskbell"
# Everything a test writes is thrown away, so it need not reach the disk; crash tests and the
# benchmark start servers of their own, with fsync.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_MOST_ROWS = 2000  # that are deleted; what has held more is no longer as fast as a new one
_MOST_USES = 40

# Whatever changes the schema, its rights or its settings gives a catalog's row a new version.
_SCHEMA = """
    SELECT md5(string_agg(concat(oid, xmin), ' ' ORDER BY oid, xmin::text)) || (
        SELECT count(*) FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
        WHERE datname = current_database()) FROM (
        SELECT oid, xmin FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT oid, xmin FROM pg_namespace
        UNION ALL SELECT oid, xmin FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT oid, xmin FROM pg_trigger
        UNION ALL SELECT oid, xmin FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT attrelid, pg_attribute.xmin FROM pg_attribute
            JOIN pg_class ON pg_class.oid = attrelid AND relnamespace = 'public'::regnamespace
    ) AS catalog
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_DELETED = "SELECT coalesce(sum(n_tup_del), 0) FROM pg_stat_xact_user_tables"
_FROM_ONE = """
    SELECT setval(format('public.%I', sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE schemaname = 'public';
"""
_KEPT = "kept"
_DISCONNECT = f"""
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name <> '{_KEPT}'
      AND pid <> pg_backend_pid()
"""


def with_database(url: str, name: str) -> str:
    """The address of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@dataclass(eq=False)
class Database:
    """One of them. The pool is opened by the first test that wants it."""

    name: str
    uses: int = 0
    _pool: store.Pool | None = None

    async def pool(self, reached: str) -> store.Pool:
        """A pool of connections to it, by this address of its server."""
        if self._pool is None:
            url = with_database(reached, self.name)
            sign = "&" if "?" in url else "?"
            self._pool = await store.connect(f"{url}{sign}application_name={_KEPT}")
        return self._pool

    @asynccontextmanager
    async def connection(self, url: str) -> AsyncIterator[store.Connection]:
        """A connection of the pool, or one of its own; raises Unusable if a test has broken it."""
        if self._pool is None:
            connection = await asyncpg.connect(with_database(url, self.name))
            yield connection
            await connection.close()
            return
        if self._pool.is_closing() or self._pool.get_idle_size() < self._pool.get_size():
            raise Unusable
        async with self._pool.acquire() as pooled:
            yield pooled

    def close(self) -> None:
        """End its connections at once."""
        if self._pool is not None:
            self._pool.terminate()


class Unusable(Exception):
    """A test has closed the pool, or has not given back a connection."""


class Databases:
    """The databases of one server. `url` is that of a database nobody uses, as a superuser."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free: list[Database] = []

    async def __aenter__(self) -> Self:
        await self._prepare()
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self._free:
            one.close()

    async def take(self) -> Database:
        """A migrated, empty database that nobody else uses."""
        if self._free:
            return self._free.pop()
        name = f"test_{secrets.token_hex(6)}"
        admin = await asyncpg.connect(self._url)
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        await admin.close()
        return Database(name)

    async def give_back(self, used: Database) -> None:
        """End every other connection to the database, and empty it for the next test."""
        used.uses += 1
        if used.uses < _MOST_USES and await self._is_emptied(used):
            self._free.append(used)
            return
        used.close()
        admin = await asyncpg.connect(self._url)
        await admin.execute(f"DROP DATABASE {used.name} WITH (FORCE)")
        await admin.close()

    async def _is_emptied(self, used: Database) -> bool:
        """Whether it is as it was; False where only a new one is."""
        try:
            async with used.connection(self._url) as connection:
                await connection.execute(_DISCONNECT)
                is_as_made = await connection.fetchval(_SCHEMA) == self._schema
                return is_as_made and await self._empty(connection) < _MOST_ROWS
        except (*store.DATABASE_ERRORS, Unusable):
            return False  # a test has closed it

    async def _empty(self, connection: store.Connection) -> int:
        """Delete what tests have written; returns how many rows."""
        async with connection.transaction():
            await connection.execute(self._emptying)
            deleted: int = await connection.fetchval(_DELETED)
            return deleted

    async def _prepare(self) -> None:
        admin = await asyncpg.connect(self._url)
        for setting in _FAST:
            name, value = setting.split("=")
            await admin.execute(f"ALTER SYSTEM SET {name} = {value}")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.execute(f"CREATE DATABASE {_TEMPLATE}")
        await admin.close()
        async with await store.connect(with_database(self._url, _TEMPLATE)) as pool:
            await store.migrate(pool)
            self._emptying = await _emptying(pool)
            self._schema = await pool.fetchval(_SCHEMA)


async def _emptying(pool: store.Pool) -> str:
    """Statements that delete all rows, but for those that the migrations have written."""
    # As a replica no foreign key is checked, so that tables come in any order.
    statements = ["SET LOCAL session_replication_role = replica"]
    await pool.execute("CREATE SCHEMA kept")
    for [name] in await pool.fetch(_TABLES):
        statements.append(f"DELETE FROM {name}")
        if await pool.fetchval(f"SELECT EXISTS (SELECT FROM {name})"):
            await pool.execute(f"CREATE TABLE kept.{name} AS TABLE {name}")
            statements.append(f"INSERT INTO {name} OVERRIDING SYSTEM VALUE TABLE kept.{name}")
    return ";\n".join([*statements, _FROM_ONE])
