"""The doorbell: "there is work", said through arq and nothing more.

A ring carries no truth. Redis may lose it, deliver it late or twice; whatever was not answered
is found by the sweep. Facts about arq that this module is built on: an id that is queued or
running is refused, so rings have none; a job that is already waiting for its turn is as good as
two, so rings within `_PAUSE` of each other are one.
"""

import asyncio
from typing import TypeAlias

import orjson
import structlog
from arq.connections import ArqRedis, RedisSettings
from arq.constants import health_check_key_suffix
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

log = structlog.get_logger()

QUEUE = "taskbell:queue"
INGEST, LOOKUP, DELIVER, CLOCK = "ingest", "lookup", "deliver", "clock"

_PAUSE = 0.01  # seconds between two rings of the same bell by one process
_TIMEOUT = 2.0  # seconds after which a Redis that does not answer is left alone

Bell: TypeAlias = tuple[str, ...]
"""A job's name and its arguments, such as `("deliver", "slack")`."""


def redis_settings(url: str) -> RedisSettings:
    """How the worker connects: a Redis that is away is tried again by whoever listens."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_retries = 0
    settings.retry_on_timeout = True
    settings.retry_on_error = [ConnectionError, TimeoutError, OSError]
    return settings


class Doorbell:
    """Rings bells without waiting for anybody to hear them."""

    def __init__(self, url: str) -> None:
        pool = ConnectionPool.from_url(
            url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
        )
        self._redis = ArqRedis(pool, job_serializer=orjson.dumps, default_queue_name=QUEUE)
        self._ringing: dict[Bell, asyncio.Task[None]] = {}
        self._again: set[Bell] = set()

    def ring(self, *bell: str) -> None:
        """Ring `bell` soon; returns at once and never fails."""
        if bell in self._ringing:
            self._again.add(bell)
        else:
            self._ringing[bell] = asyncio.create_task(self._ring(bell))

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    async def has_worker(self) -> bool:
        """Whether a worker has lately said here that it is at work; False without Redis."""
        try:
            return bool(await self._redis.exists(QUEUE + health_check_key_suffix))
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        for task in self._ringing.values():
            task.cancel()
        await asyncio.gather(*self._ringing.values(), return_exceptions=True)
        await self._redis.aclose(close_connection_pool=True)

    async def _ring(self, bell: Bell) -> None:
        try:
            await self._redis.enqueue_job(bell[0], *bell[1:])
        except (RedisError, OSError) as error:
            # Not an error of the event's way: the sweep answers what nobody heard.
            log.warning("doorbell.unheard", bell=bell, error=str(error))
        finally:
            await asyncio.sleep(_PAUSE)
            del self._ringing[bell]
        if bell in self._again:
            self._again.remove(bell)
            self.ring(*bell)
