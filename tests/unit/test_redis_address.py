"""The address of Redis: everybody reads the same of it, and is told the same of its faults."""

from typing import Any

import pytest

from service.doorbell import Doorbell, listening
from service.errors import SettingsError
from service.settings import read_settings
from service.settings.redis_pool import connections


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://host", {"host": "host"}),
        ("redis://:p%40ss%2Fw%23rd%3F%25@host:1/3", {"password": "p@ss/w#rd?%", "db": 3}),
        ("redis://us%40er:pw@[::1]:6379", {"username": "us@er", "host": "::1", "port": 6379}),
        ("redis://host?db=7&client_name=taskbell", {"db": 7, "client_name": "taskbell"}),
        ("redis://host/2?socket_timeout=9", {"db": 2, "socket_timeout": 9.0}),
        ("rediss://host?ssl_cert_reqs=none", {"ssl_cert_reqs": "none"}),
        ("unix:///tmp/a%20place/s.sock?db=2", {"path": "/tmp/a place/s.sock", "db": 2}),  # noqa: S108
        ("unix://user:p%3Aw@/run/s.sock", {"username": "user", "password": "p:w"}),
    ],
)
async def test_web_and_workers_read_the_same(url: str, options: dict[str, Any]) -> None:
    """What is escaped is taken for what it means, and options reach both."""
    bell, worker = Doorbell(url), listening(url)
    for pool in (bell._redis.connection_pool, worker.connection_pool):
        assert options.items() <= pool.connection_kwargs.items()
    await bell.close()
    await worker.aclose()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "REDIS_URL: must begin with one of redis://, rediss://, unix://"),
        ("valkey://host", "must begin with one of"),
        ("redis+sentinel://a,b/main", "redis+sentinel:// is not supported: use one Redis"),
        ("rediss-cluster://host", "rediss-cluster:// is not supported"),
        ("redis://:s3cret/x@host:6379/0", "/ is %2F"),
        ("redis://:1/s3cret@host:6379/0", "/ is %2F"),
        ("redis://:s3cret#x@host", "# is %23"),
        ("redis://:s3cret?x@host", "? is %3F"),
        ("redis://u:12/s3cret?s3cret@host", "? is %3F"),
        ("redis://host:70000", "a port is a number up to 65535"),
        ("redis://[::1", "cannot be read"),
        ("redis://host/taskbell", "must name its database by a number"),
        ("unix://run/redis.sock", "must name a socket by its whole path"),
        ("unix://", "must name a socket by its whole path"),
        ("redis://host?socket_timout=1", "did you mean socket_timeout?"),
        ("redis://host?decode_responses=true", "has an unknown option decode_responses"),
        ("redis://host?db=first", "Invalid value for 'db'"),
        ("redis://host?ssl_cert_reqs=none", "must begin with rediss://"),
        ("rediss://host?ssl_cert_reqs=never", "cannot be used"),
        ("rediss://host?ssl_ca_certs=/nowhere.pem", "No such file"),
    ],
)
def test_faults_are_told_at_the_start(url: str, says: str) -> None:
    """In words, before anything connects elsewhere or not at all; a password is never repeated."""
    with pytest.raises(SettingsError) as caught:
        read_settings({"REDIS_URL": url})
    assert says in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_what_the_address_says_counts_before_what_is_usual() -> None:
    """A default stands only where the address has nothing."""
    pool = connections("redis://host?socket_timeout=9", socket_timeout=2.0, retry_on_error=[])
    assert pool.connection_kwargs["socket_timeout"] == 9.0
    assert pool.connection_kwargs["retry_on_error"] == []
