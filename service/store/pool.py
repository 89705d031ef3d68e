"""The connections of one process to the database.

A session keeps the state in which it was opened: one with a read-only server, such as a standby or
a primary whose disk is full, may stay read-only as long as it is open, even if the server has
recovered. Such connections are replaced.

There may be a pooler before the server, such as PgBouncer, which assigns each transaction to
another session. So nothing is left in a session then: no prepared statement, and no setting.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
from asyncpg.exceptions import ReadOnlySQLTransactionError
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy

from service.settings.database_address import Address

if TYPE_CHECKING:
    _Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    _Session: TypeAlias = asyncpg.Connection[asyncpg.Record]
    _Acquiring: TypeAlias = PoolAcquireContext[asyncpg.Record]
    _Acquired: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    _Pool, _Session = asyncpg.Pool, asyncpg.Connection
    _Acquiring, _Acquired = PoolAcquireContext, PoolConnectionProxy

# After so many statements, or seconds without one, a connection is replaced.
_MOST_QUERIES, _LONGEST_IDLE = 50_000, 300.0
_LONGEST_STATEMENT = 30.0  # seconds
# What PostgreSQL allows a session. A host that has vanished, or is cut off, would else keep its
# locks for the two hours after which TCP gives up. How long it may be silent in a transaction,
# leave an answer unacknowledged, and be away altogether; the last two have no effect on a socket.
_LIMITS = {
    "idle_in_transaction_session_timeout": "60s",
    "tcp_user_timeout": "5s",
    "tcp_keepalives_idle": "5s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "3",
}
_FIRST_OWN_TYPE = 16384  # those before it are PostgreSQL's, and the same in every database
_types: dict[frozenset[int], Any] = {}
# How a server says, at any time, that a session only reads.
_SIGNS = ("in_hot_standby", "default_transaction_read_only")


class Pool(_Pool):
    """A pool of at most `size` connections, which replaces connections that are read-only."""

    def __init__(self, address: Address, size: int) -> None:
        self.place = address.place
        self._address = address
        self._opening = Opening(is_pooled=address.is_pooled)
        super().__init__(
            address.url,
            timeout=address.timeout,
            min_size=1,
            max_size=size,
            max_queries=_MOST_QUERIES,
            max_inactive_connection_lifetime=_LONGEST_IDLE,
            command_timeout=_LONGEST_STATEMENT,
            connect=self._opening,
            reset=_leave_as_it_is,
            loop=None,
            connection_class=_Connection,
            record_class=asyncpg.Record,
        )

    def acquire(self, *, timeout: float | None = None) -> _Acquiring:
        return _AbleToWrite(self, timeout)

    def another(self, size: int) -> "Pool":
        """A pool of its own to the same server, such as for another thread; it is not open yet."""
        return Pool(self._address, size)

    def only_reads(self, connection: _Acquired) -> bool:
        """Whether its server reports itself as read-only; a pooler's report may be outdated."""
        settings = connection.get_settings()
        says = any(getattr(settings, sign, "off") == "on" for sign in _SIGNS)
        return says and not self._opening.is_pooled


class _Connection(_Session):
    """Asks what PostgreSQL's own types are once per process, and not once per connection.

    asyncpg asks by a query of 10 ms for each new set of types, and keeps the answer with the
    connection. It has no other place to keep it than `_introspect_types`, which it calls for that.
    """

    async def _introspect_types(self, typeoids: Iterable[int], *timeout: float | None) -> Any:
        asked = frozenset(typeoids)
        ask: Callable[..., Awaitable[Any]] = super()._introspect_types  # type: ignore[misc]
        if max(asked) >= _FIRST_OWN_TYPE:
            return await ask(asked, *timeout)
        if asked not in _types:
            _types[asked] = await ask(asked, *timeout)
        return _types[asked]


class Opening:
    """Opens connections, and detects by them whether there is a pooler before the server."""

    def __init__(self, *, is_pooled: bool) -> None:
        self.is_pooled = is_pooled

    async def __call__(self, *args: Any, **options: Any) -> _Session:
        if self.is_pooled:
            return await asyncpg.connect(*args, **options, statement_cache_size=0)
        session: _Session = await asyncpg.connect(*args, **options)
        with ExitStack() as unless_kept:
            # The waiting caller may give up meanwhile, and no other code knows of it.
            unless_kept.callback(session.terminate)
            if await _is_servers_own(session):
                unless_kept.pop_all()
                return session
        self.is_pooled = True
        return await self(*args, **options)


async def _is_servers_own(session: _Session) -> bool:
    """Whether there is no pooler; then set the limits of the session.

    The process id that a pooler reports is not one of the server's. This is one plain statement, as
    others may not be supported, and not a setting in the startup message, as PgBouncer rejects
    those.
    """
    limits = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _LIMITS.items())
    done = await session.execute(
        f"SELECT {limits} WHERE pg_backend_pid() = {session.get_server_pid():d}"
    )
    return done == "SELECT 1"


class _AbleToWrite(_Acquiring):
    """A new connection, if the one at hand is read-only: the new one may be able to write."""

    pool: Pool

    async def __aenter__(self) -> _Acquired:
        connection = await super().__aenter__()
        if self.pool.only_reads(connection):
            await self.pool.expire_connections()
            await self.pool.release(connection)
            self.connection = None
            connection = await super().__aenter__()
        return connection

    async def __aexit__(self, *exc: object) -> None:
        if isinstance(exc[1], ReadOnlySQLTransactionError):
            await self.pool.expire_connections()
        await super().__aexit__(*exc)


async def _leave_as_it_is(session: _Session) -> None:
    """Skip the round trip that resets a session: nothing outlives its transaction here.

    The pool itself rolls back a transaction that was left open.
    """
    del session
