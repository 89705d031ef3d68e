"""Request bodies, of which no more is read than may come."""

import asyncio
from http import HTTPStatus

from starlette.types import Message, Receive

from service.web.problems import Problem

LONGEST_BODY = 20.0  # seconds


async def read_body(receive: Receive, most: int, announced: bytes | str | None) -> bytes:
    """The whole body; a 400, 408 or 413 Problem.

    `announced` is its Content-Length: one that is too large is refused before anything is read,
    or asked for with a 100. One that is not proves nothing.
    """
    if announced is not None and int(announced) > most:
        raise _too_large(most)
    body, more = bytearray(), True
    deadline = asyncio.get_running_loop().time() + LONGEST_BODY
    while more:
        message = await _next(receive, deadline)
        if message["type"] == "http.disconnect":
            raise Problem(HTTPStatus.BAD_REQUEST, "The body broke off")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> Problem:
    # Closing the connection saves reading the rest.
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {most} bytes",
        headers={"Connection": "close"},
    )


async def _next(receive: Receive, deadline: float) -> Message:
    try:
        async with asyncio.timeout_at(deadline):
            return await receive()
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not come within {LONGEST_BODY:g} seconds",
            headers={"Connection": "close"},
        ) from None
