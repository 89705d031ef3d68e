"""Slack's Socket Mode, as far as Taskbell uses it, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from aiohttp import WSMsgType, web


class SlackSocketServer:
    """Opens connections for who has the app's token, and sends what was pressed."""

    def __init__(self, token: str) -> None:
        self.url = ""
        self.confirmed: list[str] = []
        self.opened = 0
        self._token = token
        self._sockets: list[web.WebSocketResponse] = []

    @classmethod
    @asynccontextmanager
    async def running(cls, token: str) -> AsyncIterator[Self]:
        server = cls(token)
        app = web.Application()
        app.router.add_post("/api/apps.connections.open", server._open)
        app.router.add_get("/socket", server._talk)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield server
        finally:
            await runner.cleanup()

    @property
    def connections(self) -> int:
        return sum(not one.closed for one in self._sockets)

    async def press(self, number: str, payload: dict[str, Any]) -> None:
        """Tell one of those who listen, as Slack does."""
        [listening, *_] = [one for one in self._sockets if not one.closed]
        await listening.send_json(
            {"type": "interactive", "envelope_id": number, "payload": payload}
        )

    async def hang_up(self) -> None:
        """Close every connection, as Slack does from time to time."""
        await asyncio.gather(*(one.close() for one in self._sockets))

    async def _open(self, request: web.Request) -> web.Response:
        if request.headers["authorization"] != f"Bearer {self._token}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        self.opened += 1
        url = self.url.replace("http", "ws", 1)
        return web.json_response({"ok": True, "url": f"{url}/socket"})

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        await socket.send_json({"type": "hello"})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.confirmed.append(message.json()["envelope_id"])
        return socket
