"""Concurrency limit and security headers (no-store, nosniff) for page and API."""

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.web.problems import Problem, come_again, respond

# More would only queue for the database, and slow requests are possible without a token.
MOST_AT_ONCE = 100
_NEVER_TURNED_AWAY = ("/hooks/", "/healthz", "/readyz", "/live")


class ConcurrencyLimit:
    """Wraps the application. Webhooks and health checks are always admitted.

    Live updates have a limit of their own: they last for as long as a page is open.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_NEVER_TURNED_AWAY):
            await self._app(scope, receive, send)
        elif self._inside >= MOST_AT_ONCE:
            await respond(_busy())(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_privately(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        self._inside += 1
        try:
            await self._app(scope, receive, send_privately)
        finally:
            self._inside -= 1


def _busy() -> Problem:
    return come_again(
        HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests at once; try again soon", closes=True
    )
