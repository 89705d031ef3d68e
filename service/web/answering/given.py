"""Carries out what a person answers to a message."""

from http import HTTPStatus
from typing import NamedTuple

from service.clock import Clock
from service.config import Config
from service.domain.actors import Actor
from service.domain.model import Person
from service.domain.operators.buttons import DONE, Button, snoozed_until
from service.doorbell import DELIVER, INGEST, Doorbell
from service.sources import assignable, completable
from service.store import Pool
from service.store.operators import answers, assignments, completions
from service.store.operators.answers import NoSuchTask, NotAnswered
from service.store.operators.assignments import Who
from service.store.views.answerable import AnswerableMessage
from service.web.actions import OperatorActions
from service.web.problems import Problem

NOT_ASSIGNED = (
    "You take care of the task, and nobody else is asked. It was not assigned to you in its system:"
    " {}."
)

_NO_ACCOUNT = "account {} is no longer in the configuration"


class Presser(NamedTuple):
    """Who has pressed a button: as they are shown, and their id in Slack if it was there."""

    person: Person
    slack_id: str = ""


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
        self, message: AnswerableMessage, button: Button, presser: Presser, by: Actor
    ) -> str:
        """Do what this button says, and say what was done."""
        account, _ = message.of
        if account not in self._config.accounts:
            raise Problem(HTTPStatus.CONFLICT, _NO_ACCOUNT.format(account))
        try:
            return await self._do(message, button, presser, by)
        except NoSuchTask as error:
            raise Problem(HTTPStatus.NOT_FOUND, str(error)) from error
        except NotAnswered as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from error

    async def _do(
        self, message: AnswerableMessage, button: Button, presser: Presser, by: Actor
    ) -> str:
        now = self._clock.now()
        if button is Button.TAKE:
            return await self._take(message, presser, by)
        if button is Button.ACKNOWLEDGE:
            await self._actions.tasks.acknowledge(message.of, presser.person, by)
        elif button is Button.DONE:
            lane = await completions.complete_told(
                self._pool, message.id, completable(), now, by=by
            )
            self._doorbell.ring(DELIVER, lane)
        else:
            zone = self._config.zones.get(message.of[0], self._config.timezone)
            until = snoozed_until(button, now, zone)
            await answers.snooze(self._pool, message.id, until, now, by=by)
        return DONE[button]

    async def _take(self, message: AnswerableMessage, presser: Presser, by: Actor) -> str:
        """Assign the task; where that is not possible, whoever wants it still takes care of it."""
        words = self._config.people.names_of(presser.person, presser.slack_id)
        who = Who(presser.person, words, assignable())
        taken = await assignments.take(self._pool, message.id, who, self._clock.now(), by=by)
        self._doorbell.ring(INGEST, message.of[0])
        if taken.lane is not None:
            self._doorbell.ring(DELIVER, taken.lane)
        return NOT_ASSIGNED.format(taken.why_not) if taken.why_not else DONE[Button.TAKE]
