"""Two hosts in a network that fails between them and their servers, and whose clocks differ."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from service.clock import SystemClock
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from tests.harness.programs import faketime
from tests.harness.waiting import eventually
from tests.real.day import (
    PATIENCE,
    VISITS,
    Accounting,
    Day,
    ask,
    configuration,
    environment,
    is_settled,
    is_synced,
    live,
    nothing_is_doubled,
    with_standby,
)
from tests.real.hosts import PORT, Host, running
from tests.real.network import POSTGRES, REDIS, STANDBY, Network, host_address, reachable
from tests.real.servers import Nginx, Postgres, Redis
from tests.real.troubles import (
    a_host_hears_nothing_from_postgres,
    a_worker_is_killed,
    no_host_hears_anything_from_redis,
    the_standby_takes_over,
)

CLOCKS = ("-120s", "+120s")
TROUBLES = (
    a_host_hears_nothing_from_postgres,
    no_host_hears_anything_from_redis,
    a_worker_is_killed,
    the_standby_takes_over,
)


@pytest.mark.timeout(1500)
async def test_with_a_network_that_fails(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One host is two minutes behind, the other two ahead; each is cut off, and comes back."""
    async with begun(place) as day:
        await live(day, TROUBLES, capsys)
        assert day.standby is not None
        await nothing_is_doubled(day, day.standby)


@pytest.mark.timeout(600)
async def test_with_clocks_that_differ(place: Path) -> None:
    """What one host takes seconds to send is not lost to the other; nothing is repeated."""
    async with begun(place) as day:
        day.accounting.delay = 4.0
        await day.work()
        await eventually(lambda: not day.left, PATIENCE)
        await eventually(lambda: is_settled(day.primary), PATIENCE)
        [row] = await ask(day.primary, "SELECT count(*), max(attempts) FROM deliveries")
        assert row["count"] >= VISITS
        assert row["max"] == 1
        await nothing_is_doubled(day, day.primary)


@asynccontextmanager
async def begun(place: Path) -> AsyncIterator[Day]:
    """Two hosts at work, whose first sync is done."""
    addresses = [host_address(number) for number in range(len(CLOCKS))]
    async with AsyncExitStack() as stack:
        network = stack.enter_context(Network(len(CLOCKS)))
        sandbox = Sandbox(SystemClock())
        system = await stack.enter_async_context(serving(sandbox))
        accounting = await stack.enter_async_context(Accounting())
        configuration(
            place,
            await stack.enter_async_context(reachable(system)),
            await stack.enter_async_context(reachable(accounting.url)),
        )
        primary = stack.enter_context(Postgres(place / "primary", address=POSTGRES).make())
        standby = await with_standby(primary, Postgres(place / "standby", address=STANDBY))
        stack.callback(standby.stop)
        redis = stack.enter_context(Redis(place / "redis", address=REDIS))
        nginx = stack.enter_context(Nginx(place / "nginx", [f"{one}:{PORT}" for one in addresses]))
        environ = environment(place, redis, primary, standby)
        hosts = [
            Host(address, place, environ | faketime(by), network.inside(address))
            for address, by in zip(addresses, CLOCKS, strict=True)
        ]
        await stack.enter_async_context(running(hosts))
        kickserv = sandbox.kickserv
        day = Day(primary, standby, redis, nginx, hosts, kickserv, accounting, network=network)
        await eventually(lambda: is_synced(primary), PATIENCE)
        yield day
