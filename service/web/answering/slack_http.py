"""The endpoint to which Slack sends pressed buttons, signed with a channel's secret."""

from http import HTTPStatus
from urllib.parse import parse_qs

import orjson
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.clock import Clock
from service.config import Config
from service.http.signatures import NotGenuine, schemes
from service.web.answering.slack import SlackPresses
from service.web.auth import address_of
from service.web.problems import Problem
from service.web.request_body import read_body

PATH = "/slack/actions"
_BODY_BYTES = 256 * 1024  # Slack repeats the whole message


class SlackEndpoint:
    """Accepts presses that Slack has signed; none without a `signing_secret`."""

    def __init__(self, config: Config, clock: Clock, presses: SlackPresses) -> None:
        self._clock = clock
        self._presses = presses
        self._keys = _keys(config)

    def routes(self) -> list[Route]:
        return [Route(PATH, self.press, methods=["POST"])]

    async def press(self, request: Request) -> Response:
        announced = request.headers.get("content-length")
        body = await read_body(request.receive, _BODY_BYTES, announced)
        self._demand_genuine(request, body)
        try:
            payload = orjson.loads(parse_qs(body.decode())["payload"][0])
        except (KeyError, ValueError) as error:
            raise Problem(
                HTTPStatus.BAD_REQUEST, "The request has no payload from Slack"
            ) from error
        await self._presses.give(payload, address_of(request))
        return Response()

    def _demand_genuine(self, request: Request, body: bytes) -> None:
        if not self._keys:
            raise Problem(HTTPStatus.NOT_FOUND, "No channel of kind slack has a signing_secret")
        try:
            schemes()["slack"].verify(
                self._keys, dict(request.headers.raw), body, self._clock.now()
            )
        except NotGenuine as error:
            raise Problem(HTTPStatus.UNAUTHORIZED, str(error)) from error


def _keys(config: Config) -> tuple[bytes, ...]:
    secrets = (getattr(one, "signing_secret", None) for one in config.channels.values())
    given = [one for one in secrets if isinstance(one, SecretStr)]
    return tuple(schemes()["slack"].key(one.get_secret_value()) for one in given)
