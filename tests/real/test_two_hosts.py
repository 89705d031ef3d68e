"""Two hosts on one PostgreSQL and one Redis, behind nginx, while everything fails once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from service.clock import SystemClock
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from tests.harness.waiting import eventually
from tests.real.day import (
    PATIENCE,
    Accounting,
    Day,
    configuration,
    environment,
    is_synced,
    live,
    nothing_is_doubled,
    with_standby,
)
from tests.real.hosts import PORT, Host, running
from tests.real.servers import Nginx, PgBouncer, Postgres, Redis
from tests.real.troubles import (
    ANYWAY,
    postgres_only_reads,
    the_pooler_is_killed,
    the_standby_takes_over,
)

ADDRESSES = ("127.0.0.2", "127.0.0.3")


@pytest.mark.timeout(1500)
async def test_with_a_standby(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both servers are named in the address, and the one that takes writes is asked for."""
    troubles = (*ANYWAY, postgres_only_reads, the_standby_takes_over)
    async with begun(place, is_pooled=False) as day:
        await live(day, troubles, capsys)
        assert day.standby is not None
        await nothing_is_doubled(day, day.standby)


@pytest.mark.timeout(1500)
async def test_with_a_pooler(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """PgBouncer leads each transaction to another session, and is found by Taskbell itself."""
    async with begun(place, is_pooled=True) as day:
        await live(day, (*ANYWAY, the_pooler_is_killed), capsys)
        await nothing_is_doubled(day, day.primary)


@asynccontextmanager
async def begun(place: Path, *, is_pooled: bool) -> AsyncIterator[Day]:
    """Two hosts at work, whose first sync is done."""
    async with AsyncExitStack() as stack:
        sandbox = Sandbox(SystemClock())
        address = await stack.enter_async_context(serving(sandbox))
        accounting = await stack.enter_async_context(Accounting())
        primary = stack.enter_context(Postgres(place / "primary").make())
        standby = await with_standby(primary, Postgres(place / "standby"))
        stack.callback(standby.stop)
        redis = stack.enter_context(Redis(place / "redis"))
        nginx = stack.enter_context(Nginx(place / "nginx", [f"{one}:{PORT}" for one in ADDRESSES]))
        pooler = stack.enter_context(PgBouncer(place / "pooler", primary)) if is_pooled else None
        configuration(place, address, accounting.url)
        environ = environment(place, redis, primary, standby)
        if pooler is not None:
            environ["DATABASE_URL"] = pooler.url.replace("/postgres", "/taskbell")
        hosts = [Host(address, place, environ) for address in ADDRESSES]
        await stack.enter_async_context(running(hosts))
        kickserv = sandbox.kickserv
        day = Day(primary, standby, redis, nginx, hosts, kickserv, accounting, pooler)
        await eventually(lambda: is_synced(primary), PATIENCE)
        yield day
