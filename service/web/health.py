"""Health of the process: liveness, readiness and metrics."""

import asyncio
from http import HTTPStatus

import orjson
from asyncpg.exceptions import DiskFullError, ReadOnlySQLTransactionError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import store
from service.clock import Clock
from service.doorbell import Doorbell
from service.metrics import MetricsExporter
from service.store import DATABASE_ERRORS, Connection, Pool
from service.store.receipts import ReceiptKeeper
from service.web.auth import Guard
from service.web.problems import RETRY_AFTER, Problem

_PATIENCE = 3.0  # seconds
_BETWEEN_TRIES = 1.0  # seconds for which a write that went well is believed


class Health:
    """Answers health checks; only the metrics require the token."""

    def __init__(
        self,
        pool: Pool,
        doorbell: Doorbell,
        clock: Clock,
        guard: Guard,
        board: MetricsExporter,
        keeper: ReceiptKeeper,
        faults: int = 0,
    ) -> None:
        self._pool = pool
        self._keeper = keeper
        self._board = board
        self._faults = faults
        self._doorbell = doorbell
        self._clock = clock
        self._guard = guard
        self._look: asyncio.Task[str | None] | None = None
        self._next_try = 0.0

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/metrics", self._guard.protects(self.numbers)),
        ]

    async def alive(self, request: Request) -> Response:
        del request
        return _json({"alive": True})

    async def ready(self, request: Request) -> Response:
        """503 with the reasons, as text. Webhooks are accepted even without Redis."""
        del request
        missing = await self._missing()
        if missing:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "; ".join(missing),
                headers={"Retry-After": str(int(RETRY_AFTER.total_seconds()))},
                missing=missing,
            )
        return _json({"ready": True, "missing": []})

    async def numbers(self, request: Request) -> Response:
        del request
        text = await self._board.text(self._clock.now(), self._faults)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _missing(self) -> list[str]:
        missing = []
        if (database := await self._missing_in_database()) is not None:
            missing.append(database)
        elif (lost := self._keeper.trouble) is not None:
            missing.append(f"receipts: the last webhooks could not be kept: {_trouble(lost)}")
        if (trouble := await self._doorbell.trouble()) is not None:
            missing.append(f"redis: {trouble.says}; messages may be a few seconds late")
        return missing

    async def _missing_in_database(self) -> str | None:
        """Checked once at a time: the endpoint is public and may be called very often."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_at_database())
        return await asyncio.shield(self._look)

    async def _look_at_database(self) -> str | None:
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                self._pool.acquire(timeout=_PATIENCE) as connection,
            ):
                names = [migration.name for migration in await store.pending(connection)]
                if names:
                    return f"migrations: {', '.join(names)} (run taskbell migrate)"
                await self._try_write(connection)
        except DATABASE_ERRORS as error:
            return f"database: {_trouble(error)}"
        return None

    async def _try_write(self, connection: Connection) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next_try:
            await store.try_write(connection)
            self._next_try = now + _BETWEEN_TRIES


def _trouble(error: BaseException) -> str:
    match error:
        case ReadOnlySQLTransactionError():
            return "it only reads, as a standby does or with default_transaction_read_only on"
        case DiskFullError():
            return "the disk is full"
    return f"it does not answer ({type(error).__name__})"


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), HTTPStatus.OK, media_type="application/json")
