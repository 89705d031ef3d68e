"""The simulated way to the database: locks, crashes and what they leave."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import asyncpg
import pytest

from service.processes.embedded import EmbeddedPostgres
from tests.harness.databases import Database, with_database
from tests.simulation.event_loop import SimulatedLoop
from tests.simulation.sessions import Server
from tests.simulation.storage import Endless, Pool, Storage

COUNT = "UPDATE counted SET number = number + 1 WHERE name = $1 RETURNING number"


class Process:
    """A process whose statements take a tenth of a second to arrive."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cuts: list[bool] = []

    async def send(self) -> None:
        await asyncio.sleep(0.1)

    async def receive(self) -> None:
        """Get the answer at once."""

    def is_cut(self, *, before: bool) -> bool:
        if self.cuts != [before]:
            return False
        self.cuts.clear()
        return True


@pytest.fixture
def storage(postgres: EmbeddedPostgres, database: Database) -> Iterator[Storage]:
    """A database with two rows that count."""
    server = Server(with_database(postgres.url, database.name))
    server.execute("CREATE TABLE counted (name text PRIMARY KEY, number int NOT NULL)")
    server.execute("INSERT INTO counted VALUES ('a', 0), ('b', 0)")
    yield Storage(server)
    server.close()


def numbers(storage: Storage) -> list[int]:
    return [row["number"] for row in storage.server.run("SELECT number FROM counted ORDER BY name")]


def live(storage: Storage, *histories: Coroutine[Any, Any, Any]) -> list[Any]:
    """Let these take place at the same time; returns what they return, or raise."""
    results: list[Any] = []

    async def history() -> None:
        results.extend(await asyncio.gather(*histories, return_exceptions=True))

    SimulatedLoop().run(history())
    storage.crash()
    return results


async def count(pool: Pool, *names: str, asynchronous: bool = False) -> float:
    """Count these in one transaction that takes a second; returns when it is committed."""
    async with pool.acquire() as connection, connection.transaction():
        if asynchronous:
            await connection.execute("SET LOCAL synchronous_commit = off")
        for name in names:
            await connection.fetch(COUNT, name)
            await asyncio.sleep(1)
    return asyncio.get_running_loop().time()


def test_who_needs_a_lock_waits_until_it_is_free(storage: Storage) -> None:
    """The second transaction goes on when the first is committed, and sees what that has done."""
    first, second = Pool(storage, Process("one")), Pool(storage, Process("two"))
    ends = live(storage, count(first, "a"), count(second, "a"))
    assert ends == [pytest.approx(1.2), pytest.approx(2.3)]
    assert numbers(storage) == [2, 0]


def test_of_two_that_wait_for_each_other_one_is_ended(storage: Storage) -> None:
    """PostgreSQL finds the deadlock, always in the one that has closed the circle."""
    first, second = Pool(storage, Process("one")), Pool(storage, Process("two"))
    ends = live(storage, count(first, "a", "b"), count(second, "b", "a"))
    assert [type(end) for end in ends] == [float, asyncpg.DeadlockDetectedError]
    assert numbers(storage) == [1, 1]


def test_what_a_dead_process_has_not_committed_is_gone(storage: Storage) -> None:
    """And whoever has waited for its lock goes on."""
    dying = Process("one")

    async def die() -> None:
        await asyncio.sleep(0.5)
        storage.leave(dying)

    ends = live(
        storage, count(Pool(storage, dying), "a"), count(Pool(storage, Process("two")), "a"), die()
    )
    assert isinstance(ends[0], asyncpg.InterfaceError)
    assert numbers(storage) == [1, 0]


@pytest.mark.parametrize(("before", "counted"), [(True, 0), (False, 1)])
def test_a_connection_breaks(storage: Storage, *, before: bool, counted: int) -> None:
    """Before a statement nothing of it is done; after it, it may be, and nobody knows."""
    process = Process("one")
    process.cuts = [before]
    [end] = live(storage, Pool(storage, process).execute(COUNT, "a"))
    assert isinstance(end, asyncpg.ConnectionDoesNotExistError)
    assert numbers(storage) == [counted, 0]


def test_a_commit_that_is_not_on_the_disk_gets_lost(storage: Storage) -> None:
    """It is confirmed; then the database crashes, and breaks off what others have begun."""
    storage.loses = True
    first, second = Pool(storage, Process("one")), Pool(storage, Process("two"))
    ends = live(storage, count(first, "a", asynchronous=True), count(second, "b", "b"))
    assert ends[0] == pytest.approx(1.2)
    assert isinstance(ends[1], asyncpg.InterfaceError)
    assert numbers(storage) == [0, 0]


def test_a_history_without_end_is_ended(storage: Storage) -> None:
    """Whoever asks the same for ever does not hang the test."""

    async def ask() -> None:
        while True:
            await Pool(storage, Process("one")).fetchval("SELECT 1")

    with pytest.raises(Endless):
        live(storage, ask())
