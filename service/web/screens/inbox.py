"""The inbox of the sandbox: what people would have received, as they would see it."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.model import utc
from service.http.client import open_client
from service.web.problems import Problem
from service.web.screens import Screen

_SHOWN = 100
_LONGEST = 2_000  # characters of one message
_PATIENCE = 3.0  # seconds


class Inbox(Screen):
    """It is there if Taskbell runs with the sandbox, as in the demo; Today leads to it."""

    path = "/inbox"

    def routes(self) -> list[Route]:
        return [Route(self.path, self.office.shown(self.show))]

    async def show(self, request: Request) -> Response:
        """The latest messages; a 404 Problem without the sandbox, 503 if it does not answer."""
        if self.office.inbox is None:
            detail = "Only the demo has an inbox. What Taskbell sends is shown under Messages"
            raise Problem(HTTPStatus.NOT_FOUND, detail)
        messages = await self._read(self.office.inbox)
        return self.render(
            request,
            "inbox.html",
            messages=[{**one, "at": _moment(one["at"])} for one in messages[: -_SHOWN - 1 : -1]],
            most=_LONGEST,
            older=max(0, len(messages) - _SHOWN),
        )

    async def _read(self, address: str) -> list[dict[str, Any]]:
        """All messages, oldest first."""
        async with open_client(self.office.config.allow, timeout=_PATIENCE) as client:
            try:
                answer = (await client.get(address)).raise_for_status()
                found: list[dict[str, Any]] = orjson.loads(answer.content)["messages"]
            except (httpx.HTTPError, orjson.JSONDecodeError) as error:
                detail = "The emulated systems do not answer: perhaps the demo is ending"
                raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail) from error
        return found


def _moment(text: str) -> datetime:
    return utc(datetime.fromisoformat(text))
