"""Carries out what a person answers to a message."""

from http import HTTPStatus

from service.clock import Clock
from service.config import Config
from service.domain.actors import Actor
from service.domain.model import Person
from service.domain.operators.buttons import Button, snoozed_until
from service.doorbell import DELIVER, Doorbell
from service.store import Pool
from service.store.operators import answers
from service.store.operators.answers import NoSuchTask, NotAnswered
from service.store.views.answerable import AnswerableMessage
from service.web.actions import OperatorActions
from service.web.problems import Problem


class GivenAnswers:
    """What the buttons of a message do; each raises a Problem if it comes too late."""

    def __init__(
        self, pool: Pool, clock: Clock, doorbell: Doorbell, actions: OperatorActions, config: Config
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._doorbell = doorbell
        self._actions = actions
        self._config = config

    async def give(
        self, message: AnswerableMessage, button: Button, person: Person, by: Actor
    ) -> None:
        """Do what this button says, because of this person."""
        try:
            await self._do(message, button, person, by)
        except NoSuchTask as error:
            raise Problem(HTTPStatus.NOT_FOUND, str(error)) from error
        except NotAnswered as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error

    async def _do(
        self, message: AnswerableMessage, button: Button, person: Person, by: Actor
    ) -> None:
        now = self._clock.now()
        if button is Button.ACKNOWLEDGE:
            await self._actions.acknowledge(message.of, person, by)
        elif button is Button.DONE:
            lane = await answers.complete(self._pool, message.id, now, by=by)
            self._doorbell.ring(DELIVER, lane)
        else:
            zone = self._config.zones.get(message.of[0], self._config.timezone)
            until = snoozed_until(button, now, zone)
            await answers.snooze(self._pool, message.id, until, now, by=by)
