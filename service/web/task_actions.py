"""What people do about tasks, from the API or the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus

from service.clock import Clock
from service.domain.actors import Actor
from service.domain.model import Person
from service.doorbell import DELIVER, INGEST, Doorbell
from service.outbox import NoSuchDelivery, NotPossible
from service.outbox.operator_actions import snoozing
from service.sources import assignable, completable
from service.store import Pool
from service.store.operators import answers, assignments, completions
from service.store.operators.answers import NoSuchTask, NotAnswered
from service.store.operators.assignments import NobodyMeant
from service.store.tasks import Key
from service.web.parameters import LARGEST_ID
from service.web.problems import Problem


class TaskActions:
    """Acknowledges, assigns or completes tasks, and has people reminded of them.

    Each raises a Problem if it is not possible.
    """

    def __init__(self, pool: Pool, clock: Clock, doorbell: Doorbell) -> None:
        self._pool = pool
        self._clock = clock
        self._doorbell = doorbell

    async def acknowledge(self, key: Key, person: Person, by: Actor) -> None:
        """Store that this person takes care of a task; a worker makes an event of it."""
        async with _problems():
            await answers.acknowledge(self._pool, key, person, self._clock.now(), by=by)
        self._doorbell.ring(INGEST, key[0])

    async def assign(self, key: Key, word: str, by: Actor) -> None:
        """Have a task assigned in its system to the person of this id, address or name."""
        now = self._clock.now()
        async with _problems():
            lane, _ = await assignments.assign(self._pool, key, word, assignable(), now, by=by)
        self._doorbell.ring(DELIVER, lane)

    async def complete(self, key: Key, by: Actor) -> None:
        """Have a task completed in its system."""
        now = self._clock.now()
        async with _problems():
            lane = await completions.complete(self._pool, key, completable(), now, by=by)
        self._doorbell.ring(DELIVER, lane)

    async def snooze(self, message: int, until: datetime, by: Actor) -> int:
        """Have a message sent again then (UTC); returns the number of that one."""
        if message > LARGEST_ID:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such delivery")
        async with _problems():
            return await snoozing.snooze(self._pool, self._clock, message, until, by=by)


@asynccontextmanager
async def _problems() -> AsyncIterator[None]:
    """What is not possible, as a Problem."""
    try:
        yield
    except NoSuchTask as error:
        raise Problem(HTTPStatus.NOT_FOUND, "There is no such task") from error
    except NoSuchDelivery as error:
        raise Problem(HTTPStatus.NOT_FOUND, str(error)) from error
    except (NotAnswered, NobodyMeant, NotPossible) as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from error
