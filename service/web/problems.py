"""Errors as RFC 9457 problem documents, for every error response."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import HTTPExceptionHandler, Receive, Scope, Send

from service.store import DATABASE_ERRORS

log = structlog.get_logger()

RETRY_AFTER = timedelta(seconds=5)
_LINGERING = 2.0  # seconds


class Problem(HTTPException):
    """An error response; `more` are members of the document beside the usual ones."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, detail, headers)
        self.more = more


class LastResponse(Response):
    """A response to a request whose body is not read, after which the connection is closed.

    Incoming data is received and discarded for a moment: closing a connection with unread bytes
    resets it, and the sender may then lose the response.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGERING):
                await _drop_body(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drop_body(receive: Receive) -> None:
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)


def come_again(status: HTTPStatus, detail: str, *, closes: bool = False) -> Problem:
    """A temporary error on our side: the caller is told when to try again.

    `closes` avoids reading the rest of the request.
    """
    seconds = int(RETRY_AFTER.total_seconds())
    closing = {"Connection": "close"} if closes else {}
    return Problem(status, detail, headers={"Retry-After": str(seconds), **closing})


def respond(problem: HTTPException) -> Response:
    status = HTTPStatus(problem.status_code)
    document = {"type": "about:blank", "title": status.phrase, "status": status.value}
    if problem.detail != status.phrase:
        document["detail"] = problem.detail
    if isinstance(problem, Problem):
        document |= problem.more
    closes = "close" in (problem.headers or {}).get("Connection", "")
    kind = LastResponse if closes else Response
    return kind(
        orjson.dumps(document), status, problem.headers, media_type="application/problem+json"
    )


async def _say_why(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    answer = respond(error)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request) -> set[str]:
    """The methods of this address, of whatever routes; Starlette names those of the first."""
    routes = [one for one in request.app.routes if isinstance(one, Route)]
    there = (one for one in routes if one.matches(request.scope)[0] is not Match.NONE)
    return {method for one in there for method in one.methods or ()}


async def _blame_the_database(request: Request, error: Exception) -> Response:
    log.warning("database.failed", path=request.url.path, kind=type(error).__name__)
    return respond(
        come_again(HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer; try again soon")
    )


async def _blame_ourselves(request: Request, error: Exception) -> Response:
    """Respond with 503: senders retry after it, whereas some give up after a 500."""
    log.error("web.failed", path=request.url.path, kind=type(error).__name__)
    return respond(
        come_again(HTTPStatus.SERVICE_UNAVAILABLE, "Taskbell failed here; its log says why")
    )


HANDLERS: dict[type[Exception], HTTPExceptionHandler] = {
    HTTPException: _say_why,
    **dict.fromkeys(DATABASE_ERRORS, _blame_the_database),
    Exception: _blame_ourselves,
}
