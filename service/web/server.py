"""The web process: uvicorn around the application, and what the application stands on."""

import uvicorn
from starlette.applications import Starlette

from service import collector, store
from service.clock import SystemClock
from service.config import Config
from service.jobs import Doorbell
from service.settings import Settings
from service.web.app import build
from service.web.protocol import ProblemProtocol

# More connections would only queue in the database: the door needs one, the pages a few.
_CONNECTIONS = 6


async def serve(settings: Settings, config: Config) -> None:
    """Answer requests until the process is told to stop; open ones are finished first."""
    doorbell = Doorbell(settings.redis)
    async with await store.connect(settings.database, size=_CONNECTIONS) as pool:
        app = build(
            settings=settings,
            config=config,
            pool=pool,
            clock=SystemClock(),
            doorbell=doorbell,
        )
        collector.look_seldom()
        await serving(app, settings.host, settings.port).serve()
        await doorbell.close()


def serving(app: Starlette, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Server:
    """The HTTP server around the application."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=ProblemProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
