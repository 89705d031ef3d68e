"""The migrations, and the servers the tests stand on."""

import redis.asyncio

from service import store
from service.embedded import EmbeddedValkey


async def test_migrating_twice_does_nothing_the_second_time(pool: store.Pool) -> None:
    """A database that has every migration is left as it is."""
    assert await store.migrate(pool) == []


async def test_the_doorbell_server_answers(valkey: EmbeddedValkey) -> None:
    """The embedded Valkey speaks Redis on the address it names."""
    async with redis.asyncio.from_url(valkey.url) as client:
        assert await client.ping()
