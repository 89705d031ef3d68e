"""Two hosts of the version before are replaced one after the other, in the middle of work."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

from service import store
from service.clock import SystemClock
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from tests.harness.commands import clean_environment
from tests.harness.programs import NotInstalled
from tests.harness.waiting import eventually
from tests.real.day import (
    PATIENCE,
    Accounting,
    Day,
    configuration,
    environment,
    is_synced,
    nothing_is_doubled,
)
from tests.real.hosts import PORT, Host, running
from tests.real.servers import Nginx, Postgres, Redis

ROOT = Path(__file__).parents[2]
ADDRESSES = ("127.0.0.2", "127.0.0.3")


@pytest.mark.timeout(900)
async def test_with_a_rolling_upgrade(place: Path) -> None:
    """First the tables, then one host after the other: what was acknowledged is told, and once."""
    with version_before(place / "before") as code:
        async with begun(place, code) as day:
            upgrading = asyncio.create_task(upgrade(day))
            while not upgrading.done():
                await day.work()
            await upgrading
            await day.work()
            await eventually(lambda: not day.left, PATIENCE)
            await nothing_is_doubled(day, day.primary)


async def upgrade(day: Day) -> None:
    await store.bring_up_to_date(taskbell(day.primary))
    await asyncio.sleep(2)  # the version before works on the new tables meanwhile
    for host in day.hosts:
        await host.upgrade()


@contextmanager
def version_before(folder: Path) -> Iterator[Path]:
    """The code as it was before the newest migration."""
    newest = git("log", "-1", "--format=%H", "--", "service/store/migrations")
    git("worktree", "add", "--detach", str(folder), f"{newest}^")
    try:
        yield folder
    finally:
        git("worktree", "remove", "--force", str(folder))


def git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise NotInstalled(f"the version before is not in this copy: {done.stderr.strip()}")
    return done.stdout.strip()


@asynccontextmanager
async def begun(place: Path, code: Path) -> AsyncIterator[Day]:
    """Two hosts at work with this code, whose first sync is done."""
    async with AsyncExitStack() as stack:
        sandbox = Sandbox(SystemClock())
        system = await stack.enter_async_context(serving(sandbox))
        accounting = await stack.enter_async_context(Accounting())
        configuration(place, system, accounting.url)
        primary = stack.enter_context(Postgres(place / "primary").make())
        redis = stack.enter_context(Redis(place / "redis"))
        nginx = stack.enter_context(Nginx(place / "nginx", [f"{one}:{PORT}" for one in ADDRESSES]))
        environ = environment(place, redis, primary) | {"PYTHONPATH": str(code)}
        await make_tables(primary, environ)
        hosts = [Host(address, place, environ) for address in ADDRESSES]
        await stack.enter_async_context(running(hosts))
        day = Day(primary, None, redis, nginx, hosts, sandbox.kickserv, accounting)
        await eventually(lambda: is_synced(primary), PATIENCE)
        yield day


async def make_tables(primary: Postgres, environ: dict[str, str]) -> None:
    """The tables of the version before."""
    admin = await asyncpg.connect(primary.url)
    await admin.execute("CREATE DATABASE taskbell")
    await admin.close()
    migrate = (sys.executable, "-m", "service", "migrate")
    process = await asyncio.create_subprocess_exec(
        *migrate, env=clean_environment(**environ), cwd="/"
    )
    assert await process.wait() == 0
    connection = await asyncpg.connect(taskbell(primary))
    assert await store.pending(connection), "this version has made them"
    await connection.close()


def taskbell(primary: Postgres) -> str:
    """The address of Taskbell's own database."""
    return primary.url.replace("/postgres", "/taskbell")
