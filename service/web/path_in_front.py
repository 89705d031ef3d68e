"""Taskbell below a path of another's site, such as /taskbell."""

from starlette.types import ASGIApp, Receive, Scope, Send


class PathInFront:
    """Takes the path off requests from proxies that hand it on; others have done so themselves."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{self._path}/"):
            scope = {**scope, "path": scope["path"].removeprefix(self._path) or "/"}
        await self._app(scope, receive, send)
