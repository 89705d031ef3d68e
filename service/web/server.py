"""The web process: uvicorn, the application, and its resources."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from socket import socket

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from service import store
from service.clock import SharedClock, SystemClock
from service.config import Config
from service.diagnostics import Diagnostic
from service.domain.operators.overrides import Override
from service.doorbell import INGEST, Doorbell
from service.maintenance import clock_sync
from service.metrics import MetricsExporter
from service.processes import gc_tuning
from service.processes.parent_pipe import ParentPipe
from service.reload import LoadedConfig
from service.reload.subscriber import follow
from service.settings import Settings
from service.store import DATABASE_ERRORS, Pool
from service.store.operators import rule_overrides
from service.store.receipts import ReceiptKeeper
from service.telemetry import tracing
from service.web.answering.slack_socket import SlackSockets
from service.web.app import build
from service.web.auth import Guard
from service.web.limits.connection_limiter import ConnectionLimiter
from service.web.live_updates import LiveUpdates
from service.web.protocol import Connection

# More connections would only queue in the database. The door has its own: whatever the pages wait
# for, webhooks are kept.
_OF_PAGES, _OF_THE_DOOR = 5, 1
_BETWEEN_LOOKS = 1.0  # seconds


class AppSwitch:
    """The active application: each request is answered by the one that was active when it came.

    It is built by `made`, again for each configuration and whenever a person has switched a rule.
    The values of a configuration's references are put into `values`.
    """

    def __init__(
        self,
        made: Callable[..., Starlette],
        config: Config,
        live: LiveUpdates,
        values: dict[str, str],
    ) -> None:
        self._made = made
        self._live = live
        self._values = values
        self._config = config
        self._faults: Sequence[Diagnostic] = ()
        self._overrides: Mapping[str, Override] = {}
        self.app = made(config=config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    async def follow_files(self, readings: AsyncIterator[LoadedConfig]) -> None:
        """Activate each configuration when it comes, or show its errors."""
        async for reading in readings:
            self._config = reading.config or self._config
            self._faults = reading.faults
            self._values.update(reading.word.values)
            self._build()

    async def follow_overrides(self, pool: Pool) -> None:
        """Read every second which rules a person has switched."""
        while True:
            # Without its database the page says so itself.
            with suppress(*DATABASE_ERRORS):
                if (found := await rule_overrides.read(pool)) != self._overrides:
                    self._overrides = found
                    self._build()
            await asyncio.sleep(_BETWEEN_LOOKS)

    def _build(self) -> None:
        config = self._config.switched(self._overrides)
        self.app = self._made(config=config, faults=self._faults)
        self._live.change()


async def serve(settings: Settings, line: ParentPipe | None) -> None:
    """Serve requests until the process is told to stop; open ones are finished first.

    The configuration comes by `line`; without one, from its files. Raises ConfigError if the first
    one has errors.
    """
    readings = follow(line, settings.taskbell_config, os.environ)
    first = await anext(readings)
    config, values = first.demand(), {**os.environ, **first.word.values}
    doorbell = Doorbell(settings.redis)
    async with (
        await store.connect(settings.database, size=_OF_PAGES) as pool,
        await store.connect(settings.database, size=_OF_THE_DOOR) as own,
    ):
        keeper, board = ReceiptKeeper(own, partial(doorbell.ring, INGEST)), MetricsExporter(pool)
        clock, live = SharedClock(SystemClock()), LiveUpdates(doorbell)
        await clock_sync.correct(pool, clock)
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
            live=live,
            environ=values,
        )
        front = AppSwitch(made, config, live, values)
        gc_tuning.look_seldom()
        following = [
            asyncio.create_task(front.follow_files(readings)),
            asyncio.create_task(front.follow_overrides(pool)),
            asyncio.create_task(clock_sync.follow(pool, clock)),
            asyncio.create_task(SlackSockets(lambda: front.app.state.slack).follow()),
        ]
        await serving(tracing.around(front), live, settings.host, settings.port).serve()
        for task in following:
            task.cancel()
        await asyncio.wait(following)
        await board.close()
        await keeper.close()
        await doorbell.close()


class Server(uvicorn.Server):
    """The HTTP server, which closes connections whose clients take too long.

    When it stops, the live updates end first: it waits for all responses.
    """

    def __init__(self, config: uvicorn.Config, live: LiveUpdates) -> None:
        super().__init__(config)
        self._live = live
        self.server_state: ConnectionLimiter = ConnectionLimiter()

    async def on_tick(self, counter: int) -> bool:
        now = asyncio.get_running_loop().time()
        for guest in self.server_state.guests:
            guest.end_if_overdue(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self._live.close()
        await super().shutdown(sockets)


def serving(
    app: ASGIApp, live: LiveUpdates, host: str = "127.0.0.1", port: int = 0
) -> uvicorn.Server:
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
        ),
        live,
    )
