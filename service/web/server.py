"""The web process: uvicorn, the application, and its resources."""

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from service import store
from service.clock import SystemClock
from service.config import Config
from service.doorbell import INGEST, Doorbell
from service.metrics import MetricsExporter
from service.processes import gc_tuning
from service.processes.parent_pipe import ParentPipe
from service.reload import LoadedConfig
from service.reload.subscriber import follow
from service.settings import Settings
from service.store.receipts import ReceiptKeeper
from service.telemetry import tracing
from service.web.app import build
from service.web.auth import Guard
from service.web.limits.connection_limiter import ConnectionLimiter
from service.web.protocol import Connection

# More connections would only queue in the database. The door has its own: whatever the pages wait
# for, webhooks are kept.
_OF_PAGES, _OF_THE_DOOR = 5, 1


class AppSwitch:
    """The active application: each request is answered by the one that was active when it came."""

    def __init__(self, app: Starlette) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


async def serve(settings: Settings, line: ParentPipe | None) -> None:
    """Serve requests until the process is told to stop; open ones are finished first.

    The configuration comes by `line`; without one, from its files. Raises ConfigError if the first
    one has errors.
    """
    readings = follow(line, settings.taskbell_config, os.environ)
    config = (await anext(readings)).demand()
    doorbell = Doorbell(settings.redis)
    async with (
        await store.connect(settings.database, size=_OF_PAGES) as pool,
        await store.connect(settings.database, size=_OF_THE_DOOR) as own,
    ):
        keeper, board = ReceiptKeeper(own, partial(doorbell.ring, INGEST)), MetricsExporter(pool)
        clock = SystemClock()
        await board.look(clock.now())
        made = partial(
            build,
            settings=settings,
            pool=pool,
            clock=clock,
            doorbell=doorbell,
            keeper=keeper,
            board=board,
            guard=Guard(settings, pool, clock),
        )
        front = AppSwitch(made(config=config))
        gc_tuning.look_seldom()
        following = asyncio.create_task(_renew(front, made, config, readings))
        await serving(tracing.around(front), settings.host, settings.port).serve()
        following.cancel()
        await board.close()
        await keeper.close()
        await doorbell.close()


async def _renew(
    front: AppSwitch,
    made: partial[Starlette],
    config: Config,
    readings: AsyncIterator[LoadedConfig],
) -> None:
    """Activate each configuration when it comes, or show its errors."""
    async for reading in readings:
        config = reading.config or config
        front.app = made(config=config, faults=reading.faults)


class Server(uvicorn.Server):
    """The HTTP server, which closes connections whose clients take too long."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state: ConnectionLimiter = ConnectionLimiter()

    async def on_tick(self, counter: int) -> bool:
        now = asyncio.get_running_loop().time()
        for guest in self.server_state.guests:
            guest.end_if_overdue(now)
        return await super().on_tick(counter)


def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Server:
    """The HTTP server around the application."""
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=Connection,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
