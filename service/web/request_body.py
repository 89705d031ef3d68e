"""Reads request bodies up to a maximum size."""

import asyncio
from functools import partial
from http import HTTPStatus

from starlette.types import Message, Receive

from service.web.problems import Problem, come_again

LONGEST_BODY = 20.0  # seconds


class BodyBudget:
    """Limits how many bytes of incomplete bodies are in memory at once.

    The sender is verified only when the whole body is there, so anyone may begin any number of
    requests. If there is no room for more, the body that has been incomplete for longest is
    dropped.
    """

    def __init__(self, left: int) -> None:
        self._left = left
        # How many bytes each holds, by what ends the wait for it; the first to come is the first.
        self._held: dict[asyncio.Timeout, int] = {}

    async def read(self, receive: Receive, most: int, announced: bytes | str | None) -> bytes:
        """As `read_body`; a 503 Problem if this body was dropped."""
        wait = asyncio.timeout(LONGEST_BODY)
        try:
            async with wait:
                self._held[wait] = 0
                return await _read(partial(self._receive, receive, wait), most, announced)
        except TimeoutError:
            raise (_too_slow() if wait in self._held else _made_way()) from None
        finally:
            self._left += self._held.pop(wait, 0)

    async def _receive(self, receive: Receive, wait: asyncio.Timeout) -> Message:
        message = await receive()
        size = len(message.get("body", b""))
        while size > self._left and wait in self._held:
            self._end_first()
        if wait not in self._held:
            raise _made_way()
        self._left -= size
        self._held[wait] += size
        return message

    def _end_first(self) -> None:
        first = next(iter(self._held))
        self._left += self._held.pop(first)
        first.reschedule(0)


async def read_body(receive: Receive, most: int, announced: bytes | str | None) -> bytes:
    """The whole body; a 400, 408 or 413 Problem.

    `announced` is its Content-Length: if that is too large, the request is refused before anything
    is read, or asked for with a 100. A smaller one proves nothing.
    """
    try:
        async with asyncio.timeout(LONGEST_BODY):
            return await _read(receive, most, announced)
    except TimeoutError:
        raise _too_slow() from None


async def _read(receive: Receive, most: int, announced: bytes | str | None) -> bytes:
    if announced is not None and int(announced) > most:
        raise _too_large(most)
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(HTTPStatus.BAD_REQUEST, "The body ended early")
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


def _made_way() -> Problem:
    return come_again(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too much is coming in at once; send this again in a moment",
        closes=True,
    )


def _too_slow() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        f"The body did not come within {LONGEST_BODY:g} seconds",
        headers={"Connection": "close"},
    )
