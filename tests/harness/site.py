"""The web process's application on a real socket, for tests that ask it something."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx
import orjson
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from service.clock import Clock
from service.config import Config, load
from service.diagnostics import Diagnostic
from service.doorbell import INGEST, Doorbell
from service.metrics import MetricsExporter
from service.settings import read_settings
from service.store import Pool, accounts
from service.store.receipts import ReceiptKeeper
from service.web.app import build
from service.web.auth import Guard
from service.web.live_updates import LiveUpdates
from service.web.server import serving as server_of
from tests.harness.waiting import PATIENCE

HEX_SECRET, STANDARD_SECRET = "hunter2hunter2hunter2", "whsec_bmV3IHNlY3JldCwgbmV3IHNlY3JldA=="

CONFIGURATION = f"""
version: 1
timezone: Europe/London
accounts:
  open:     {{ system: plannr, base_url: "http://127.0.0.1:9", token: t0ken, account_uuid: u,
               webhook: {{ verify: none }} }}
  london:   {{ system: plannr, base_url: "http://127.0.0.1:9", token: t0ken, account_uuid: u,
               webhook: {{ verify: plannr, secret: {HEX_SECRET} }} }}
  field:    {{ system: kickserv, base_url: "http://127.0.0.1:9", slug: acme, token: t0ken,
               timezone: America/New_York,
               webhook: {{ verify: standard, secret: {STANDARD_SECRET} }} }}
channels:
  accounting: {{ kind: webhook, url: "http://127.0.0.1:9/", secret: {STANDARD_SECRET} }}
rules:
- id: job-done
  when: task.completed
  then: [{{ notify: accounting }}]
"""


# For clients that never speak TLS: httpx would read all certificates of the machine for each.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, slots=True)
class Site:
    """A running site: `client` knows its address, `port` is for those who speak by hand.

    `app` is the application.
    """

    client: httpx.AsyncClient
    port: int
    app: Starlette

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """All that it answers."""
        return self.app.routes

    async def post(
        self, account: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a webhook as JSON."""
        return await self.client.post(
            f"/hooks/{account}",
            content=body,
            headers={"content-type": "application/json", **(headers or {})},
        )

    async def speak(self, request: bytes) -> bytes:
        """Send bytes that need not be HTTP, and no more after them; returns what is answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to somebody who speaks by hand."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Self:
        """The next answer; whatever is not 2xx has to be a problem document."""
        async with asyncio.timeout(5):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = [line.partition(": ") for line in lines if line]
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
        answer = cls(int(first.split()[1]), headers, body)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            assert headers["content-type"] == "application/problem+json"
            assert orjson.loads(body)["status"] == answer.status
        return answer

    @property
    def closes(self) -> bool:
        """Whether the connection ends with it."""
        return self.headers.get("connection") == "close"


@asynccontextmanager
async def site(
    folder: Path, pool: Pool, clock: Clock, redis_url: str, token: str | None = None, **environ: Any
) -> AsyncIterator[Site]:
    """The web as in production, with `CONFIGURATION`, and an admin token and settings if given."""
    async with serving(configured(folder), pool, clock, redis_url, token, **environ) as served:
        yield served


def configured(folder: Path, more: str = "") -> Config:
    """`CONFIGURATION`, with more lines below it."""
    (folder / "taskbell.yaml").write_text(CONFIGURATION + more)
    return load(folder / "taskbell.yaml", {})


@asynccontextmanager
async def serving(
    config: Config,
    pool: Pool,
    clock: Clock,
    redis_url: str,
    token: str | None = None,
    *,
    faults: Sequence[Diagnostic] = (),
    patience: float = PATIENCE,
    **environ: Any,
) -> AsyncIterator[Site]:
    """The web as in production, with this configuration and these settings.

    `faults` keep another configuration from being in force. /metrics waits `patience` seconds for
    the database.
    """
    settings = read_settings({"TASKBELL_ADMIN_TOKEN": token or "", **environ})
    systems = {name: account.system for name, account in config.accounts.items()}
    await accounts.register(pool, systems, clock.now())
    doorbell = Doorbell(redis_url)
    keeper = ReceiptKeeper(pool, partial(doorbell.ring, INGEST))
    board, live = MetricsExporter(pool, patience=patience), LiveUpdates(doorbell)
    app = build(
        settings=settings,
        config=config,
        pool=pool,
        clock=clock,
        doorbell=doorbell,
        keeper=keeper,
        board=board,
        guard=Guard(settings, pool, clock),
        live=live,
        faults=faults,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # As asyncio does with sockets of its own; else each answer's second half waits for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listener.getsockname()[1]
        server = server_of(app, live)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, verify=_NO_TLS
            ) as client:
                yield Site(client, port, app)
        finally:
            server.should_exit = True
            await running
            await board.close()
            await keeper.close()
            await doorbell.close()
