"""The connections of one process to the database.

A session keeps what it was opened with: one that found a server which only reads, as a standby does
or a primary whose disk is full, may go on so for as long as it is open, whatever has become of the
server. None is used again for that.
"""

from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from asyncpg.exceptions import ReadOnlySQLTransactionError
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy

if TYPE_CHECKING:
    _Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    _Acquiring: TypeAlias = PoolAcquireContext[asyncpg.Record]
    _Acquired: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    _Pool, _Acquiring, _Acquired = asyncpg.Pool, PoolAcquireContext, PoolConnectionProxy

# How a server says, at any time, that a session only reads.
_SIGNS = ("in_hot_standby", "default_transaction_read_only")


class Pool(_Pool):
    """A pool that replaces its connections where one of them only reads."""

    def acquire(self, *, timeout: float | None = None) -> _Acquiring:
        return _AbleToWrite(self, timeout)


class _AbleToWrite(_Acquiring):
    """A connection that was just made, if the one at hand only reads: it may do so as well."""

    async def __aenter__(self) -> _Acquired:
        connection = await super().__aenter__()
        if _only_reads(connection):
            await self.pool.expire_connections()
            await self.pool.release(connection)
            self.connection = None
            connection = await super().__aenter__()
        return connection

    async def __aexit__(self, *exc: object) -> None:
        if isinstance(exc[1], ReadOnlySQLTransactionError):
            await self.pool.expire_connections()
        await super().__aexit__(*exc)


def _only_reads(connection: _Acquired) -> bool:
    settings = connection.get_settings()
    return any(getattr(settings, sign, "off") == "on" for sign in _SIGNS)
