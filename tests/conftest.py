"""Real parts for every test: a PostgreSQL database of its own, a Valkey, a clock that stands still.

Servers start once per test process; a database is emptied and used again.
"""

import compileall
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import Phase, settings

from service import store
from service.clock import VirtualClock
from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey
from service.processes.reaper import guarded
from tests.harness.databases import Database, Databases, with_database
from tests.harness.programs import NotInstalled
from tests.real import servers

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="the long run: more load, more examples")
    parser.addoption(
        "--real",
        choices=("direct", "pgbouncer"),
        help="the servers that the system has, and how PostgreSQL is reached (make test-real)",
    )
    parser.addoption("--fuzz", type=int, help="how many bad inputs are tried (tests/fuzz)")
    parser.addoption("--installed", help="the environment with the Taskbell that is tried there")


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("soak", max_examples=2000, deadline=None)
    # The same examples every time: what fails is then of this commit. `make soak` looks for others,
    # and for the smallest: to make a history smaller can take longer than a test may.
    settings.register_profile(
        "test", deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate)
    )
    settings.load_profile("soak" if config.getoption("--soak") else "test")
    if not hasattr(config, "workerinput"):
        _compile()


def _compile() -> None:
    """Compile the code once, not in each of the hundreds of processes that tests start.

    They would, where PYTHONDONTWRITEBYTECODE is set. Only what has changed is compiled.
    """
    for package in ("service", "workers"):
        compileall.compile_dir(ROOT / package, quiet=2)


@pytest.fixture
def soaking(request: pytest.FixtureRequest) -> bool:
    """Whether this is the long run."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for servers: outside pytest's own, which other users may not enter."""
    with TemporaryDirectory(prefix="taskbell-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres | servers.Postgres]:
    with _real_postgres() if _is_real(request) else _embedded_postgres() as server:
        yield server


@pytest.fixture(scope="session")
async def databases(
    postgres: EmbeddedPostgres | servers.Postgres,
) -> AsyncIterator[Databases]:
    async with Databases(postgres.url) as databases:
        yield databases


@pytest.fixture(scope="session")
def valkey(request: pytest.FixtureRequest) -> Iterator[EmbeddedValkey | servers.Redis]:
    if _is_real(request):
        with _real_folder() as folder, servers.Redis(folder / "redis") as redis:
            yield redis
        return
    with _guarded_folder() as folder, EmbeddedValkey(folder) as server:
        yield server


@pytest.fixture(scope="session")
def reached(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres | servers.Postgres
) -> Iterator[str]:
    """The address by which Taskbell reaches PostgreSQL: its own, or a pooler's."""
    if isinstance(postgres, EmbeddedPostgres) or request.config.getoption("--real") == "direct":
        yield postgres.url
        return
    with _real_folder() as folder, servers.PgBouncer(folder / "pgbouncer", postgres) as pooler:
        yield pooler.url


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    """A migrated, empty database that only this test uses."""
    taken = await databases.take()
    yield taken
    await databases.give_back(taken)


@pytest.fixture
def database_url(database: Database, reached: str) -> str:
    """The address of this test's database."""
    return with_database(reached, database.name)


@pytest.fixture
async def pool(database: Database, reached: str) -> store.Pool:
    """A pool of connections to this test's database."""
    return await database.pool(reached)


@pytest.fixture
def clock() -> VirtualClock:
    """Friday 6 March 2026, noon in UTC; moves only when a test moves it."""
    return VirtualClock(datetime(2026, 3, 6, 12, 0, tzinfo=UTC))


@asynccontextmanager
async def closed_to_all(postgres: EmbeddedPostgres, name: str) -> AsyncIterator[None]:
    """A database that breaks off every connection, and takes none until this ends."""
    admin = await asyncpg.connect(postgres.url)
    await admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
    )
    yield
    await admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    await admin.close()


@asynccontextmanager
async def only_reading(url: str) -> AsyncIterator[None]:
    """A database that takes no writes until this ends, as a standby does: new sessions only read.

    Those that are opened meanwhile go on so, as long as they are open.
    """
    name = urlsplit(url).path.strip("/")
    admin = await asyncpg.connect(with_database(url, "postgres"))
    setting = f"ALTER DATABASE {name} SET default_transaction_read_only"
    await admin.execute(f"{setting} = on")
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
    )
    yield
    await admin.execute(f"{setting} = off")
    await admin.close()


def _is_real(request: pytest.FixtureRequest) -> bool:
    return request.config.getoption("--real") is not None


@contextmanager
def _real_folder() -> Iterator[Path]:
    """A folder that the users of other servers may enter."""
    with TemporaryDirectory(prefix="taskbell-") as name, skipping_what_is_not_here():
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def skipping_what_is_not_here() -> Iterator[None]:
    try:
        yield
    except NotInstalled as error:
        pytest.skip(str(error))


@contextmanager
def _real_postgres() -> Iterator[servers.Postgres]:
    with _real_folder() as folder, servers.Postgres(folder / "postgres").make() as server:
        yield server


@contextmanager
def _embedded_postgres() -> Iterator[EmbeddedPostgres]:
    with _guarded_folder() as folder:
        server = EmbeddedPostgres(folder)
        yield server
        server.stop()


@contextmanager
def _guarded_folder() -> Iterator[Path]:
    """A folder whose server ends also when this process is ended in the middle of a test."""
    with TemporaryDirectory(prefix="taskbell-") as name:
        folder = Path(name) / "data"
        folder.mkdir()
        held = os.open(folder, os.O_RDONLY)
        with guarded([folder], held):
            yield folder
        os.close(held)
