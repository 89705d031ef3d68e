"""The doorbell: arq jobs that wake up workers, and a count of changes that open pages follow.

A job only says "there is work". It carries no data. Redis may lose it, deliver it late or twice;
the sweep finds work for which no job arrived. arq takes more than a millisecond to queue a job and
to begin it, and asks Redis for jobs. So beside its queue there is a list, on which workers block,
and whose entries say the same as the jobs. A job is there for an entry that is lost with the worker
that took it.

Facts about arq that this module relies on: a job whose id is queued or running is refused; so of
each kind of wake-up one job waits at most, which is as good as many. For the same reason wake-ups
within `_PAUSE` of each other are merged.
"""

import asyncio
from contextlib import suppress
from typing import Any, TypeAlias

import orjson
import structlog
from arq.connections import ArqRedis
from arq.constants import health_check_key_suffix
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from service.doorbell.redis_trouble import Trouble, explain
from service.settings.redis_pool import connections

log = structlog.get_logger()

QUEUE = "taskbell:queue"
RUNG = "taskbell:rung"
CHANGES = "taskbell:changes"
INGEST, LOOKUP, DELIVER, CLOCK = "ingest", "lookup", "deliver", "clock"

_PAUSE = 0.01  # seconds between two wake-ups of the same kind by one process
_TIMEOUT = 2.0  # seconds after which a Redis that does not answer is left alone
_SAID_AGAIN = 60.0  # seconds
_MOST_RUNG = 100  # entries of RUNG; without a worker nobody takes them

Bell: TypeAlias = tuple[str, ...]
"""A job's name and its arguments, such as `("deliver", "slack")`."""


def listening(url: str) -> ArqRedis:
    """How a worker connects: an interrupted command is repeated on a new connection, once."""
    return _connecting(url, retry_on_error=[RedisConnectionError, OSError])


def _connecting(url: str, **options: Any) -> ArqRedis:
    pool = connections(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, **options)
    return ArqRedis(pool, job_serializer=orjson.dumps, default_queue_name=QUEUE)


class RedisProblemLog:
    """Logs problems of Redis: whenever the problem changes, and once a minute while it lasts.

    `event` is the name of the log event.
    """

    def __init__(self, event: str) -> None:
        self._event = event
        self._said: Trouble | None = None
        self._again_at = 0.0

    def make(self, error: RedisError | OSError) -> None:
        trouble, now = explain(error), asyncio.get_running_loop().time()
        if trouble != self._said or now >= self._again_at:
            self._said, self._again_at = trouble, now + _SAID_AGAIN
            log.warning(self._event, error=trouble.says, advice=trouble.advice)


class Doorbell:
    """Enqueues wake-ups without waiting for a worker."""

    def __init__(self, url: str) -> None:
        self._redis = _connecting(url)
        self._enqueuing: dict[Bell, asyncio.Task[None]] = {}
        self._again: set[Bell] = set()
        self._noting: asyncio.Task[None] | None = None
        self._unheard = RedisProblemLog("doorbell.unheard")

    def ring(self, *bell: str) -> None:
        """Wake up `bell` soon; returns at once and never fails."""
        if bell in self._enqueuing:
            self._again.add(bell)
        else:
            self._enqueuing[bell] = asyncio.create_task(self._enqueue(bell))

    def note_change(self) -> None:
        """Tell the pages that are open that something has changed; returns at once, never fails."""
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._note_change())

    async def changes(self) -> int | None:
        """A number that differs when something has changed; None without Redis."""
        try:
            return int(await self._redis.get(CHANGES) or 0)
        except (RedisError, OSError):
            return None

    async def trouble(self) -> Trouble | None:
        """Why Redis accepts no wake-ups; None if it does."""
        try:
            await self._redis.psetex(f"{QUEUE}:tried", 1000, b"")
        except (RedisError, OSError) as error:
            return explain(error)
        return None

    async def has_worker(self) -> bool:
        """Whether a worker has recently reported here that it is running; False without Redis."""
        try:
            return bool(await self._redis.exists(QUEUE + health_check_key_suffix))
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        open_tasks = [*self._enqueuing.values(), *([self._noting] if self._noting else [])]
        for task in open_tasks:
            task.cancel()
        await asyncio.gather(*open_tasks, return_exceptions=True)
        await self._redis.aclose(close_connection_pool=True)

    async def _note_change(self) -> None:
        # Not an error: without Redis the pages read themselves again every few seconds.
        with suppress(RedisError, OSError):
            await self._redis.incr(CHANGES)

    async def _wake_a_worker(self, bell: Bell) -> None:
        async with self._redis.pipeline(transaction=False) as both:
            both.lpush(RUNG, orjson.dumps(bell))
            both.ltrim(RUNG, 0, _MOST_RUNG - 1)
            await both.execute()

    async def _enqueue(self, bell: Bell) -> None:
        try:
            await self._wake_a_worker(bell)
            await self._redis.enqueue_job(bell[0], *bell[1:], _job_id=":".join(bell))
        except (RedisError, OSError) as error:
            # Not an error for the event: the sweep finds work without a wake-up.
            self._unheard.make(error)
        finally:
            await asyncio.sleep(_PAUSE)
            del self._enqueuing[bell]
        if bell in self._again:
            self._again.remove(bell)
            self.ring(*bell)
