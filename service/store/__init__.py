"""The database: one pool a process, and the migrations that make the tables.

Each noun has a module here with the statements about it; transactions are opened by whoever
needs several nouns to change together.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from socket import gaierror
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import structlog

from service.errors import TaskbellError
from service.store.pool import Pool as Pool

if TYPE_CHECKING:
    Connection: TypeAlias = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
else:
    Connection = asyncpg.Connection

log = structlog.get_logger()

# How a database shows that it is not there, is going, or is not back yet, or that somebody else
# came first: the same work can be done a moment later.
DATABASE_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # it has said that it ends, and has not hung up yet
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.TransactionRollbackError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,  # a standby that is not the primary yet
    OSError,
)
# Whatever a database can answer: that it is not there, or why it does not do what was asked.
DATABASE_ERRORS = (*DATABASE_GONE, asyncpg.PostgresError)

# Any number that no other program uses for an advisory lock in the same database.
_MIGRATION_LOCK = 7_235_525


# How long a transaction may wait for the process that began it. One on a host that has vanished
# would else keep its locks for the two hours after which TCP gives up.
_LONGEST_SILENCE = "60s"
# After so many statements, or seconds without one, a connection is replaced.
_MOST_QUERIES, _LONGEST_IDLE = 50_000, 300.0


class DatabaseUnreachable(TaskbellError):
    """The database cannot be used; the message says where and why, without the password."""


async def connect(url: str, *, size: int = 10) -> Pool:
    """Open a pool of at most `size` connections; raises DatabaseUnreachable."""
    try:
        return await Pool(
            url,
            min_size=1,
            max_size=size,
            max_queries=_MOST_QUERIES,
            max_inactive_connection_lifetime=_LONGEST_IDLE,
            command_timeout=30,
            init=_bound_silence,
            reset=_leave_as_it_is,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
        )
    except (*DATABASE_ERRORS, ValueError) as error:
        raise DatabaseUnreachable(
            f"PostgreSQL at {_place(url)} cannot be used: {_reason(error)}."
            " Look whether it runs there and whether DATABASE_URL is right."
        ) from error


async def migrate(pool: Pool) -> list[str]:
    """Apply the migrations that are missing, in order, and return their names.

    Safe to call from many processes at once: one does the work, the others wait.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        missing = await pending(connection)
        for migration in missing:
            await connection.execute(migration.read_text())
            await connection.execute("INSERT INTO migrations (name) VALUES ($1)", migration.name)
            log.info("database.migrated", migration=migration.name)
    return [migration.name for migration in missing]


async def bring_up_to_date(url: str) -> list[str]:
    """Migrate the database at this address; for whoever has no pool."""
    async with await connect(url, size=1) as pool:
        return await migrate(pool)


async def pending(connection: Connection) -> list[Traversable]:
    """The migrations that this database has not seen yet, in order; changes nothing."""
    applied = set()
    # Made by the first one to migrate: two that make a table at once, if not there, collide.
    if await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL"):
        applied = {row["name"] for row in await connection.fetch("SELECT name FROM migrations")}
    folder = resources.files("service") / "migrations"
    files = sorted((file for file in folder.iterdir()), key=lambda file: file.name)
    return [file for file in files if file.name.endswith(".sql") and file.name not in applied]


async def try_write(connection: Connection) -> None:
    """Write something down for good; raises one of DATABASE_ERRORS where that cannot be done."""
    await connection.execute(
        """
        INSERT INTO counters (name, labels, value) VALUES ('tried', '{}', 1)
        ON CONFLICT (name, labels) DO UPDATE SET value = counters.value + 1
        """
    )


async def _bound_silence(connection: Connection) -> None:
    # Not with the connection's first message: PgBouncer refuses settings there.
    await connection.execute(
        "SELECT set_config('idle_in_transaction_session_timeout', $1, false)", _LONGEST_SILENCE
    )


async def _leave_as_it_is(connection: Connection) -> None:
    """Spare the round trip that resets a session: nothing outlives its transaction here.

    A transaction that was left open is rolled back by the pool itself.
    """
    del connection


def _place(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        return "the address in DATABASE_URL"
    return f"{parts.hostname or 'this machine'}:{port}"


def _reason(error: Exception) -> str:
    match error:
        case ConnectionRefusedError() | FileNotFoundError():
            return "nobody answers"
        case TimeoutError():
            return "it does not answer in time"
        case gaierror():
            return "there is no server of this name"
        case ValueError():
            return "the address cannot be read"
    return str(error).rstrip(".")
