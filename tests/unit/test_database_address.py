"""The address of the database: what libpq takes is taken, dropped with a word, or refused."""

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from service.errors import SettingsError
from service.settings import read_settings
from service.settings.database_address import read_address


def test_what_asyncpg_knows_stays() -> None:
    """Several servers, which of them is wanted, TLS, names: as they were given."""
    url = (
        "postgresql://us%40er:p%2Fw@db1,db2:5433/tasks?target_session_attrs=read-write"
        "&sslmode=require&application_name=taskbell&options=-c%20statement_timeout%3D5s"
    )
    read = read_address(url)
    assert urlsplit(read.url).netloc == "us%40er:p%2Fw@db1,db2:5433"
    assert parse_qs(urlsplit(read.url).query) == parse_qs(urlsplit(url).query)
    assert read.place == "db1:5432, db2:5433"
    assert read.ignored == ()


def test_what_means_nothing_to_it_is_dropped_and_named() -> None:
    """Handed to the server, each would keep anybody from connecting."""
    read = read_address(
        "postgresql://db/tasks?channel_binding=require&keepalives_idle=30&tcp_user_timeout=9"
        "&gssencmode=disable&sslsni=1&load_balance_hosts=random&client_encoding=UTF8"
    )
    assert "?" not in read.url
    assert read.ignored == (
        "channel_binding",
        "client_encoding",
        "gssencmode",
        "keepalives_idle",
        "load_balance_hosts",
        "sslsni",
        "tcp_user_timeout",
    )


@pytest.mark.parametrize(
    ("query", "seconds"), [("", 60), ("?connect_timeout=5", 5), ("?connect_timeout=0", 60)]
)
def test_how_long_connecting_may_take(query: str, seconds: int) -> None:
    """As libpq has it, but not for ever."""
    read = read_address(f"postgresql://db/tasks{query}")
    assert (read.timeout, read.ignored, "connect_timeout" in read.url) == (seconds, (), False)


@pytest.mark.parametrize(
    ("query", "is_pooled"),
    [("pgbouncer=true", True), ("statement_cache_size=0", True), ("statement_cache_size=9", False)],
)
def test_a_pooler_may_be_named(query: str, *, is_pooled: bool) -> None:
    """As other libraries are told of one; it is no parameter of the server's."""
    read = read_address(f"postgresql://db/tasks?{query}")
    assert (read.is_pooled, read.url, read.ignored) == (is_pooled, "postgresql://db/tasks", ())


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql:///tasks", "this machine:5432"),
        ("postgresql://%2Frun%2Fpostgresql:5433/tasks", "/run/postgresql:5433"),
        ("postgresql:///tasks?host=/run/postgresql", "/run/postgresql:5432"),
        ("postgresql://[::1]:5433/tasks", "[::1]:5433"),
        ("postgresql:///tasks?hostaddr=10.0.0.1&port=5433", "10.0.0.1:5433"),
    ],
)
def test_where_it_is(url: str, place: str) -> None:
    """In words for people, without user and password."""
    assert read_address(url).place == place


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://host/x", "DATABASE_URL: must begin with one of postgresql://, postgres://"),
        ("postgresql://u:s3@cret@host/x", "@ is written %40"),
        ("postgresql://u:s3/cret@host/x", "/ is %2F"),
        ("postgresql://u:s3?cret@host/x", "? is %3F"),
        ("postgresql://u:s3#cret@host/x", "# is %23"),
        ("postgresql://host:s3cret/x", "a port is a number up to 65535"),
        ("postgresql://a:5432,b:99999/x", "a port is a number up to 65535"),
        ("postgresql://[::1/x", "cannot be read"),
        ("postgresql://host/x?sslmode", "must end with ?name=value"),
        (
            "postgresql://host/x?sslmode=full",
            "has an unknown sslmode; it must be one of disable, allow,",
        ),
        (
            "postgresql://host/x?target_session_attrs=rw",
            "must be one of any, primary, standby, read-write",
        ),
        ("postgresql://host/x?connect_timeout=soon", "a whole number of seconds"),
        (
            "postgresql://host/x?sslrootcert=/nowhere.pem",
            "/nowhere.pem: No such file",
        ),
        ("postgresql://host/x?sslkey=/nowhere.key", "in sslkey that cannot be read: /nowhere.key"),
        ("postgresql://host/x?sslrootcert=/etc", "cannot be read: /etc: Is a directory"),
        ("postgresql://host/x?sslkey=/dev/zero", "/dev/zero: it is a device, not a file"),
        ("postgresql://host/x?sslrootcert=system", "/etc/ssl/certs/ca-certificates.crt"),
    ],
)
def test_faults_are_told_at_the_start(url: str, says: str) -> None:
    """In words that lead to the fault; a password is never repeated."""
    with pytest.raises(SettingsError) as caught:
        read_settings({"DATABASE_URL": url})
    assert says in str(caught.value)
    assert "cret" not in str(caught.value).removeprefix(url)


def test_files_that_are_there_are_taken(tmp_path: Path) -> None:
    """What is in a certificate's file is looked at when connecting."""
    file = tmp_path / "root.pem"
    file.touch()
    assert read_settings({"DATABASE_URL": f"postgresql://host/x?sslrootcert={file}"})


def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    """It is no file, and said to be none."""
    pipe = tmp_path / "root.pem"
    os.mkfifo(pipe)
    with pytest.raises(SettingsError, match="it is a pipe, not a file"):
        read_settings({"DATABASE_URL": f"postgresql://host/x?sslrootcert={pipe}"})
