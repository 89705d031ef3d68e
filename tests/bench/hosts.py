"""What a second host adds: events a second of two hosts over one, each with a share of a core.

The servers and the load are outside of these shares, so that the hosts are what is measured.
"""

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from service import store
from tests.bench import wire, work
from tests.bench.figures import CONNECTIONS, Figure, listening, process, received, stats
from tests.harness.programs import NotInstalled
from tests.harness.running import free_port
from tests.harness.waiting import eventually
from tests.real.day import PATIENCE, environment, is_synced
from tests.real.hosts import PORT, Host, running
from tests.real.servers import Nginx, Postgres, Redis

SHARE = 0.3  # of a core, for all processes of a host
EVENTS, ROUNDS = 3000, 2
ADDRESSES = ("127.0.0.2", "127.0.0.3")
WANTED = 1.8
_GROUPS = Path("/sys/fs/cgroup")
_PERIOD = 50_000  # microseconds
_NAME = "events a second of two hosts over one"


async def hosts(folder: Path) -> list[Figure]:
    """One host and two in turn; the better round of each counts."""
    del folder  # the servers' own users may not enter it
    try:
        rates = dict.fromkeys((1, 2), 0.0)
        for _ in range(ROUNDS):
            for count in rates:
                rates[count] = max(rates[count], await _rate(ADDRESSES[:count]))
    except (NotInstalled, PermissionError) as error:
        return [Figure(_NAME, f"not measured: {error}")]
    ratio = rates[2] / rates[1]
    return [
        Figure(f"events a second of a host with {SHARE:.0%} of a core", f"{rates[1]:,.0f}"),
        Figure(f"  {_NAME}", f"{ratio:.2f}", f"≥ {WANTED}", ratio >= WANTED),
    ]


async def _rate(addresses: Sequence[str]) -> float:
    with TemporaryDirectory(prefix="taskbell-") as name:
        place = Path(name)
        place.chmod(0o755)
        async with _system(place, addresses) as (proxy, receiver):
            await _send(proxy, receiver, 0, 200)
            began = time.time()
            return EVENTS / (await _send(proxy, receiver, 1_000_000, EVENTS) - began)


async def _send(proxy: int, receiver: int, first: int, count: int) -> float:
    """Send so many webhooks; returns when the last of them was told."""
    before = (await stats(receiver))["count"]
    requests = [work.webhook(first + one, f"task {one}") for one in range(count)]
    await wire.flood(proxy, requests, CONNECTIONS)
    return await received(receiver, before + count)


@asynccontextmanager
async def _system(place: Path, addresses: Sequence[str]) -> AsyncIterator[tuple[int, int]]:
    """These hosts behind a proxy, and a receiver; the ports of both."""
    receiver = free_port()
    async with AsyncExitStack() as stack:
        stack.enter_context(process("tests.bench.receiver", str(receiver)))
        await listening(receiver)
        (place / "taskbell.yaml").write_text(work.configuration(receiver))
        postgres = stack.enter_context(Postgres(place / "postgres").make())
        await _make_tables(postgres)
        redis = stack.enter_context(Redis(place / "redis"))
        proxy = stack.enter_context(Nginx(place / "nginx", [f"{one}:{PORT}" for one in addresses]))
        environ = environment(place, redis, postgres)
        machines = [
            Host(one, place, environ, stack.enter_context(_share(f"taskbell-{one}")))
            for one in addresses
        ]
        await stack.enter_async_context(running(machines))
        await eventually(lambda: is_synced(postgres), PATIENCE)
        yield proxy.port, receiver


async def _make_tables(postgres: Postgres) -> None:
    admin = await asyncpg.connect(postgres.url)
    await admin.execute("CREATE DATABASE taskbell")
    await admin.close()
    await store.bring_up_to_date(postgres.url.replace("/postgres", "/taskbell"))


@contextmanager
def _share(name: str) -> Iterator[Sequence[str]]:
    """What to put before a command, so that all commands of this name share so much of a core."""
    is_new = (_GROUPS / "cgroup.controllers").exists()
    group = _GROUPS / name if is_new else _GROUPS / "cpu" / name
    group.mkdir(exist_ok=True)
    most = str(round(SHARE * _PERIOD))
    if is_new:
        (group / "cpu.max").write_text(f"{most} {_PERIOD}")
    else:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (group / "cpu.cfs_quota_us").write_text(most)
    joining = f'echo $$ > "{group}/cgroup.procs" && exec "$@"'
    try:
        yield ("sh", "-c", joining, "sh")
    finally:
        with suppress(OSError):  # one that still ends keeps it
            group.rmdir()
