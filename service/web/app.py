"""The web process: which part answers what."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from service.clock import Clock
from service.sources import Account
from service.store import Pool
from service.store.receipts import ReceiptKeeper
from service.web.hooks import Door
from service.web.problems import HANDLERS


def build(
    *, accounts: Mapping[str, Account], pool: Pool, clock: Clock, ring: Callable[[], None]
) -> Starlette:
    keeper = ReceiptKeeper(pool, ring)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        yield
        await keeper.close()

    # The door comes first: it is asked a thousand times as often as anything else.
    app = Starlette(
        routes=[Route("/hooks/{account}", Door(accounts, keeper, clock), methods=["POST"])],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    # A sender that is redirected has not delivered.
    app.router.redirect_slashes = False
    return app
