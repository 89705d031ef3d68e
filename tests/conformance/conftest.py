"""One storage after the other for every test."""

from collections.abc import AsyncIterator

import pytest

from service.store import Pool
from tests.conformance.storages import MemoryStorage, PostgresStorage, Storage


@pytest.fixture
async def postgres_storage(pool: Pool) -> AsyncIterator[PostgresStorage]:
    """PostgreSQL, in a transaction that is never committed."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        storage = PostgresStorage(connection)
        await storage.begin()
        yield storage
        await transaction.rollback()


@pytest.fixture
def memory_storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture(params=["postgres", "memory"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """Either of them."""
    found: Storage = request.getfixturevalue(f"{request.param}_storage")
    return found
