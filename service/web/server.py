"""The web process: uvicorn around the application, and what the application stands on."""

import gc

import uvicorn

from service import store
from service.clock import SystemClock
from service.config import Config
from service.jobs import Doorbell
from service.settings import Settings
from service.web.app import build

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
        # What is there now stays: the collector need not look at it again with every webhook.
        gc.collect()
        gc.freeze()
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http="httptools",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        await server.serve()
        await doorbell.close()
