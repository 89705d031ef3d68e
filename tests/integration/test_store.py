"""The migrations, and the servers the tests stand on."""

from service import store
from service.embedded import EmbeddedValkey
from service.jobs import Doorbell


async def test_migrating_twice_does_nothing_the_second_time(pool: store.Pool) -> None:
    """A database that has every migration is left as it is."""
    assert await store.migrate(pool) == []


async def test_the_doorbell_server_answers(valkey: EmbeddedValkey) -> None:
    """The embedded Valkey speaks Redis on the address it names."""
    doorbell = Doorbell(valkey.url)
    assert await doorbell.ping()
    await doorbell.close()
