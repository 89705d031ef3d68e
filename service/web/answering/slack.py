"""Buttons pressed in Slack: https://docs.slack.dev/interactivity/handling-user-interaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from service.domain.actors import Actor
from service.domain.model import Person
from service.domain.operators.buttons import Button
from service.outbox import approvals
from service.outbox.approvals import DeliveryLinks, LinkTo
from service.store.views import answerable
from service.store.views.answerable import AnswerableMessage
from service.telemetry.visible import visible
from service.web.answering.given import GivenAnswers, Presser
from service.web.answering.slack_replies import SlackReplies
from service.web.office import Office
from service.web.parameters import LARGEST_ID
from service.web.problems import Problem

_LONGEST_NAME = 80
_DECISIONS = frozenset({Button.APPROVE, Button.DECLINE})
_TOO_LATE = frozenset({HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND})
_UNREADABLE = "This is not a button of a Taskbell message"


@dataclass(frozen=True, slots=True)
class _Press:
    """A button that somebody pressed: the message's number, its proof, and the person.

    `reply_to` is the address at which Slack takes what the person is told.
    """

    message: int
    proof: str
    answer: str
    name: str
    user: str
    reply_to: str


class SlackPresses:
    """Does what a pressed button says, if the button proves that it was in this message.

    What was answered before is left as it is: the message says by then who was faster, and the
    person is told, too.
    """

    def __init__(self, office: Office, links: DeliveryLinks, given: GivenAnswers) -> None:
        self._replies = SlackReplies(office.config, office.clock)
        self._office = office
        self._links = links
        self._given = given

    async def give(self, payload: Any, address: str) -> None:
        """`payload` is what Slack sends; raises a 400 Problem for anything but a button of ours."""
        press = _press(payload)
        by = Actor(f"{press.name} in Slack", address=address)
        try:
            said = await self._do(press, by)
        except Problem as problem:
            if problem.status_code not in _TOO_LATE:
                raise
            said = f"Nothing was changed: {problem.detail}."
        if said and press.reply_to:
            await self._replies.tell(press.reply_to, said)

    async def _do(self, press: _Press, by: Actor) -> str:
        """Do it; returns what the person is told, empty if the message itself will say it."""
        if press.answer in _DECISIONS:
            await self._demand_question(press)
            await self._office.actions.act(press.answer, press.message, {}, by)
            return ""
        message, button = await self._of(press), Button(press.answer)
        email = None
        if button is Button.TAKE:
            email = await self._replies.email_of(message.channel, press.user)
        presser = Presser(Person(name=press.name, email=email), press.user)
        return await self._given.give(message, button, presser, by)

    async def _demand_question(self, press: _Press) -> None:
        """Raise Problem unless this person was asked to approve the message."""
        number = press.message
        row = await approvals.read(self._office.pool, number) if number <= LARGEST_ID else None
        if row is None or not self._links.is_genuine(
            LinkTo.APPROVE, number, row["key"], press.proof
        ):
            raise Problem(HTTPStatus.BAD_REQUEST, _UNREADABLE)

    async def _of(self, press: _Press) -> AnswerableMessage:
        number = press.message
        found = await answerable.read(self._office.pool, number) if number <= LARGEST_ID else None
        is_ours = found is not None and self._links.is_genuine(
            LinkTo.ANSWER, number, found.key, press.proof
        )
        if found is None or not is_ours or press.answer not in found.buttons:
            raise Problem(HTTPStatus.BAD_REQUEST, _UNREADABLE)
        return found


def _press(payload: Any) -> _Press:
    try:
        return _read(payload)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, _UNREADABLE) from error


def _read(payload: Mapping[str, Any]) -> _Press:
    action, user = payload["actions"][0], payload["user"]
    number, _, proof = str(action["value"]).partition(":")
    name = visible(" ".join(str(user.get("name") or user.get("username") or user["id"]).split()))
    reply_to = str(payload.get("response_url") or "")
    return _Press(
        *(int(number), proof, str(action["action_id"]), name[:_LONGEST_NAME]),
        *(str(user["id"]), reply_to),
    )
