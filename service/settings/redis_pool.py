"""Connections to Redis by its address; see `redis_address`."""

from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import SSLConnection
from redis.exceptions import RedisError

from service.settings.redis_address import demand_readable


def connections(url: str, **defaults: Any) -> ConnectionPool:
    """A pool of connections to the Redis at this address; none is opened yet.

    `defaults` are redis-py's connection options, which the address may override. Raises ValueError
    with the error, without secrets.
    """
    demand_readable(url)
    pool = ConnectionPool.from_url(url, **defaults)
    _demand_usable(pool)
    return pool


def _demand_usable(pool: ConnectionPool) -> None:
    """Refuse unusable options before a connection is made."""
    try:
        connection = pool.make_connection()  # type: ignore[no-untyped-call]
        if isinstance(connection, SSLConnection):
            connection.ssl_context.get()
    except TypeError:  # an option of TLS where there is none
        raise ValueError("has TLS options, so it must begin with rediss://") from None
    except (RedisError, OSError) as error:
        raise ValueError(f"has an option that cannot be used: {error}") from error
