"""Serves Taskbell below a path of another site, such as /taskbell."""

from starlette.types import ASGIApp, Receive, Scope, Send


class PathInFront:
    """Removes the path from requests of proxies that forward it; others have removed it already."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{self._path}/"):
            scope = {**scope, "path": scope["path"].removeprefix(self._path) or "/"}
        await self._app(scope, receive, send)
