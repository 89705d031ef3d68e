"""Live updates: a stream of server-sent events that makes open pages reload their content.

An event carries no data: the page asks for what it shows, as whoever is signed in. One loop per web
process looks for changes, and only while a page is open.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.doorbell import Doorbell
from service.web.auth import Guard
from service.web.problems import RETRY_AFTER, Problem

PATH = "/live"
_MOST_STREAMS = 500
_BETWEEN_LOOKS = 1.0  # seconds
_WITHOUT_REDIS = 5.0  # seconds between two events if nobody can tell whether anything has changed
_SILENCE = 20.0  # seconds after which a line keeps a proxy from closing the connection
_LIFE = 600.0  # seconds after which a page connects again, and is admitted again
_CHANGED, _ALIVE = b"data: changed\n\n", b": alive\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# What comes too often, and what the rule editor asks while somebody types.
_UNSEEN = ("/hooks/", "/rules/edit/")


class LiveUpdates:
    """The streams of one web process; they survive a change of the configuration."""

    def __init__(self, doorbell: Doorbell, most: int = _MOST_STREAMS) -> None:
        self._doorbell = doorbell
        self._most = most
        self._news = asyncio.Event()
        self._streams = 0
        self._looking: asyncio.Task[None] | None = None
        self._is_closing = False

    def routes(self, guard: Guard) -> list[Route]:
        return [Route(PATH, guard.protects(self.stream))]

    async def stream(self, request: Request) -> Response:
        """An event whenever something has changed; a 503 Problem if too many pages are open."""
        del request
        if self._streams >= self._most or self._is_closing:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Too many pages are open; this one is updated every minute",
                headers={"Retry-After": str(int(RETRY_AFTER.total_seconds()))},
            )
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=_HEADERS)

    def change(self) -> None:
        """Send an event to all open pages."""
        self._news.set()
        self._news = asyncio.Event()

    async def close(self) -> None:
        """End all streams: a server that stops waits for them."""
        self._is_closing = True
        self.change()
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _events(self) -> AsyncIterator[bytes]:
        self._begin()
        ends_at = asyncio.get_running_loop().time() + _LIFE
        try:
            yield _ALIVE
            while not self._is_closing and asyncio.get_running_loop().time() < ends_at:
                yield await self._next()
        finally:
            self._streams -= 1

    def _begin(self) -> None:
        self._streams += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def _next(self) -> bytes:
        try:
            await asyncio.wait_for(self._news.wait(), _SILENCE)
        except TimeoutError:
            return _ALIVE
        return _ALIVE if self._is_closing else _CHANGED

    async def _look(self) -> None:
        """Look for changes for as long as a page is open."""
        known = await self._doorbell.changes()
        while self._streams:
            await asyncio.sleep(_WITHOUT_REDIS if known is None else _BETWEEN_LOOKS)
            found = await self._doorbell.changes()
            if found is None or found != known:
                self.change()
            known = found


class ChangeNotifier:
    """Wraps the application: what a person does on one page shows on the others."""

    def __init__(self, app: ASGIApp, doorbell: Doorbell) -> None:
        self._app = app
        self._doorbell = doorbell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        if (
            scope["type"] == "http"
            and scope["method"] not in _READING
            and not scope["path"].startswith(_UNSEEN)
        ):
            self._doorbell.note_change()
