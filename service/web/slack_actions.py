"""Buttons pressed in Slack: https://docs.slack.dev/interactivity/handling-user-interaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import orjson
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.config import Config
from service.domain.actors import Actor
from service.domain.buttons import Button
from service.domain.model import Person
from service.http.signatures import NotGenuine, schemes
from service.outbox import approvals
from service.outbox.approvals import DeliveryLinks, LinkTo
from service.store.views import answerable
from service.store.views.answerable import AnswerableMessage
from service.web.auth import address_of
from service.web.given_answers import GivenAnswers
from service.web.office import Office
from service.web.parameters import LARGEST_ID
from service.web.problems import Problem
from service.web.request_body import read_body

PATH = "/slack/actions"
_BODY_BYTES = 256 * 1024  # Slack repeats the whole message
_LONGEST_NAME = 80
_DECISIONS = frozenset({Button.APPROVE, Button.DECLINE})
_UNREADABLE = "This is no button of a message of Taskbell"


@dataclass(frozen=True, slots=True)
class _Press:
    """A button that somebody pressed: the message's number, its proof, and the person's name."""

    message: int
    proof: str
    answer: str
    name: str


class SlackActions:
    """Takes what Slack sends when somebody presses a button.

    Slack signs its requests with the secret of a channel of the configuration; the button proves
    besides that it was in this message. What was answered before is left as it is: the message says
    by then who was faster.
    """

    def __init__(self, office: Office, links: DeliveryLinks, given: GivenAnswers) -> None:
        self._office = office
        self._links = links
        self._given = given
        self._keys = _keys(office.config)

    def routes(self) -> list[Route]:
        return [Route(PATH, self.press, methods=["POST"])]

    async def press(self, request: Request) -> Response:
        announced = request.headers.get("content-length")
        body = await read_body(request.receive, _BODY_BYTES, announced)
        self._demand_genuine(request, body)
        press = _press(body)
        by = Actor(f"{press.name} in Slack", address=address_of(request))
        try:
            await self._do(press, by)
        except Problem as problem:
            if problem.status_code not in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
                raise
        return Response()

    def _demand_genuine(self, request: Request, body: bytes) -> None:
        if not self._keys:
            raise Problem(HTTPStatus.NOT_FOUND, "No channel of kind slack has a signing_secret")
        scheme, now = schemes()["slack"], self._office.clock.now()
        try:
            scheme.verify(self._keys, dict(request.headers.raw), body, now)
        except NotGenuine as error:
            raise Problem(HTTPStatus.UNAUTHORIZED, str(error)) from error

    async def _do(self, press: _Press, by: Actor) -> None:
        if press.answer in _DECISIONS:
            await self._demand_question(press)
            await self._office.actions.act(press.answer, press.message, {}, by)
            return
        message = await self._of(press)
        await self._given.give(message, Button(press.answer), Person(name=press.name), by)

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


def _keys(config: Config) -> tuple[bytes, ...]:
    secrets = (getattr(one, "signing_secret", None) for one in config.channels.values())
    given = [one for one in secrets if isinstance(one, SecretStr)]
    return tuple(schemes()["slack"].key(one.get_secret_value()) for one in given)


def _press(body: bytes) -> _Press:
    """Raises a 400 Problem for anything but a pressed button."""
    try:
        payload = orjson.loads(parse_qs(body.decode())["payload"][0])
        return _read(payload, payload["actions"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, _UNREADABLE) from error


def _read(payload: Mapping[str, Any], actions: Sequence[Mapping[str, Any]]) -> _Press:
    number, _, proof = str(actions[0]["value"]).partition(":")
    user = payload["user"]
    name = " ".join(str(user.get("name") or user.get("username") or user["id"]).split())
    return _Press(int(number), proof, str(actions[0]["action_id"]), name[:_LONGEST_NAME])
