"""The database: one pool per process, and the migrations that create the tables.

Each entity has a module here with its statements; a caller that must change several entities
atomically opens the transaction.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg
import structlog

from service.settings.database_address import Address, read_address
from service.store.pool import Pool as Pool
from service.store.trouble import DatabaseUnreachable as DatabaseUnreachable
from service.store.trouble import unreachable

if TYPE_CHECKING:
    Connection: TypeAlias = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
else:
    Connection = asyncpg.Connection

Row: TypeAlias = asyncpg.Record | Mapping[str, Any]
"""A row of a statement, or one like it that was never stored."""

log = structlog.get_logger()

Value = TypeVar("Value")

# Errors of a database that is unavailable, stopping or starting, or of a conflict with another
# transaction: the same work can be repeated a moment later.
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
# The same, where an OSError may be of something else.
_ITS_OWN = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
)

# Any number that no other program uses for an advisory lock in the same database.
_MIGRATION_LOCK = 7_235_525
_MOST_DEADLOCKS = 5  # that one migration may meet; each takes PostgreSQL a second to see
_OLDEST = 15  # PostgreSQL's version


async def connect(url: str, *, size: int = 10) -> Pool:
    """Open a pool of at most `size` connections; raises DatabaseUnreachable."""
    address = _address(url)
    if address.ignored:
        log.info("database.parameters_ignored", parameters=address.ignored)
    try:
        pool = await Pool(address, size)
    except (*DATABASE_ERRORS, ValueError) as error:
        raise unreachable(address.place, error) from error
    try:
        async with pool.acquire() as connection:
            _demand_suitable(connection, address.place)
    except BaseException:
        await pool.close()
        raise
    return pool


def _address(url: str) -> Address:
    try:
        return read_address(url)
    except ValueError as error:
        raise DatabaseUnreachable(f"DATABASE_URL {error}.") from error


def _demand_suitable(connection: Connection, place: str) -> None:
    """Refuse a database in which something would fail later, and perhaps rarely."""
    version, encoding = connection.get_server_version(), connection.get_settings().server_encoding
    if version.major < _OLDEST:
        raise DatabaseUnreachable(
            f"PostgreSQL at {place} is version {version.major}; Taskbell needs {_OLDEST} or later."
        )
    if encoding != "UTF8":
        raise DatabaseUnreachable(
            f"The database at {place} keeps text as {encoding}, which does not have all characters."
            " Create another one: createdb --encoding=UTF8 --template=template0 NAME"
        )


async def migrate(pool: Pool) -> list[str]:
    """Apply the migrations that are missing, in order, and return their names.

    Safe to call from many processes at once: one applies them, the others wait. Processes that are
    running may lock tables in another order, so that PostgreSQL aborts one of the two transactions:
    then the migration is started again.
    """
    try:
        for _ in range(_MOST_DEADLOCKS):
            with suppress(asyncpg.DeadlockDetectedError):
                return await _migrate_pending(pool)
            log.warning("database.migration_met_a_deadlock", then="trying again")
        return await _migrate_pending(pool)
    except asyncpg.PostgresError as error:
        if isinstance(error, DATABASE_GONE):
            raise
        raise unreachable(pool.place, error) from error


async def _migrate_pending(pool: Pool) -> list[str]:
    async with pool.acquire() as connection:
        # One that may not make tables may use those that another user has made.
        return await _migrate(connection) if await pending(connection) else []


async def _migrate(connection: Connection) -> list[str]:
    async with connection.transaction():
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
    """Migrate the database at this address, and check that it accepts writes; needs no pool.

    Raises DatabaseUnreachable.
    """
    async with await connect(url, size=1) as pool, explained(pool):
        applied = await migrate(pool)
        async with pool.acquire() as connection:
            await try_write(connection)
        return applied


@asynccontextmanager
async def explained(pool: Pool) -> AsyncIterator[None]:
    """Raise DatabaseUnreachable for any database error within this block."""
    try:
        yield
    except _ITS_OWN as error:
        raise unreachable(pool.place, error) from error


async def pending(connection: Connection) -> list[Traversable]:
    """The migrations that are missing in this database, in order; changes nothing."""
    applied = set()
    # Made by the first one to migrate: two that make a table at once, if not there, collide.
    if await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL"):
        applied = {row["name"] for row in await connection.fetch("SELECT name FROM migrations")}
    folder = resources.files("service") / "store/migrations"
    files = sorted((file for file in folder.iterdir()), key=lambda file: file.name)
    return [file for file in files if file.name.endswith(".sql") and file.name not in applied]


async def try_write(connection: Connection) -> None:
    """Write something permanently; raises one of DATABASE_ERRORS if that fails."""
    await connection.execute(
        """
        INSERT INTO counters (name, labels, value) VALUES ('tried', '{}', 1)
        ON CONFLICT (name, labels) DO UPDATE SET value = counters.value + 1
        """
    )


async def read_through(
    connection: Connection, query: str, *values: object, at_once: int
) -> AsyncIterator[list[asyncpg.Record]]:
    """The rows of a result that may be very large, in batches of this size.

    A transaction has to be open.
    """
    # Without a name: behind a pooler, one that has a name would stay in a session of all others.
    statement = await connection.prepare(query, name="")
    cursor = await statement.cursor(*values)
    while rows := await cursor.fetch(at_once):
        yield rows


def column(values: Sequence[Value | None]) -> Sequence[Value | None]:
    """These values; an empty list if all are None.

    `unnest` pads a shorter array with NULL, and the driver is slow for lists of None. At least one
    other array must have the full length.
    """
    return () if values.count(None) == len(values) else values
