"""On a machine with several users, nobody reaches another's servers, and nobody is in the way.

Each attack is made as another user, from a process of his own.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import asyncpg
import psutil
import pytest

from service.errors import CannotStart
from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey, database
from service.processes.postgres_programs import UNPRIVILEGED
from service.processes.postmaster import noted
from service.processes.private_folder import NotPrivate
from service.settings import Settings
from tests.harness.commands import clean_environment
from tests.harness.other_users import COLLEAGUE, STRANGER, command_of, done_by, give, only_root

pytestmark = only_root


@dataclass
class Own:
    """A server on `folder`, and the id of its first process."""

    folder: Path
    pid: int


@contextmanager
def postgres_in(folder: Path) -> Iterator[Own]:
    server = EmbeddedPostgres(folder)
    try:
        yield Own(folder, server.pid)
    finally:
        server.stop()


@contextmanager
def valkey_in(folder: Path) -> Iterator[Own]:
    with EmbeddedValkey(folder):
        [process] = [
            one
            for one in psutil.Process().children()
            if one.name() == "valkey-server" and one.cwd() == str(folder)
        ]
        yield Own(folder, process.pid)


@contextmanager
def both_in(place: Path) -> Iterator[list[Own]]:
    with postgres_in(place / "postgres") as postgres, valkey_in(place / "valkey") as valkey:
        yield [postgres, valkey]


@pytest.mark.parametrize("place", ["near", "x" * 150])
def test_no_other_user_gets_to_a_socket_or_a_file(folder: Path, place: str) -> None:
    """There is no port, and every socket lies where only its owner can enter."""
    # What protects the servers must not be pytest's own folder.
    folder.chmod(0o755)
    (folder / place).mkdir()
    with both_in(folder / place) as servers:
        for own in servers:
            processes = [psutil.Process(own.pid), *psutil.Process(own.pid).children(recursive=True)]
            open_now = [one for process in processes for one in process.net_connections("all")]
            assert not [one.laddr for one in open_now if one.family != socket.AF_UNIX]
            paths = {str(one.laddr) for one in open_now if "taskbell-" in str(one.laddr)}
            assert paths
            for path in paths:
                assert done_by(STRANGER, knock, path).startswith("PermissionError")
            assert done_by(STRANGER, os.listdir, own.folder).startswith("PermissionError")
            assert own.folder.stat().st_mode & 0o777 == 0o700


async def test_a_database_that_trusted_everybody_does_not_any_more(folder: Path) -> None:
    """One that an older version made; and its folders are open, so that everybody can knock."""
    data = folder / "postgres"
    with postgres_in(data):
        pass
    (folder / "theirs").write_text("local all all trust\n")
    (data / "pg_hba.conf").unlink()
    (data / "pg_hba.conf").symlink_to(folder / "theirs")
    data.chmod(0o755)
    with postgres_in(data):
        open_to_all(folder, sockets := sockets_of(data))
        assert await connect(str(sockets)) == "postgres"
        for stranger in (STRANGER, UNPRIVILEGED):
            said = done_by(stranger, connect_as_stranger, str(sockets))
            assert "Peer authentication failed" in said
    assert (folder / "theirs").read_text() == "local all all trust\n"


def test_nothing_but_its_own_folder_is_opened_to_roots_postgres(folder: Path) -> None:
    """It runs as a user without rights, who could not enter the folders above; nor write a log."""
    data = folder / "postgres"
    with in_a_group_more(), postgres_in(data) as own:
        process = psutil.Process(own.pid)
        assert 0 not in {process.uids().real, process.gids().real}
        assert "Groups:\t \n" in Path(f"/proc/{own.pid}/status").read_text()
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "shadow").write_text("root:secret\n")
    (data / "log").unlink()
    (data / "log").symlink_to(folder / "shadow")
    with pytest.raises(CannotStart, match="does not start in"):
        EmbeddedPostgres(data)
    assert (folder / "shadow").read_text() == "root:secret\n"


def test_several_users_start_at_once(folder: Path) -> None:
    """Though somebody has already left a file where PostgreSQL's wheel has its lock."""
    folder.chmod(0o755)
    Path(gettempdir(), ".lockfile").touch()
    theirs = give(made(folder / "theirs"), STRANGER)
    with postgres_in(folder / "postgres"):
        assert done_by(STRANGER, begin, theirs) == "postgres"


def test_a_data_folder_of_somebody_else_is_refused(folder: Path) -> None:
    """Nothing in it is changed; the sentence says whose it is, and what to do."""
    folder.chmod(0o755)
    theirs = give(made(folder / "theirs"), STRANGER)
    for name in (COLLEAGUE, "root"):
        said = done_by(name, use, theirs)
        assert said.startswith(f"NotPrivate: {theirs} belongs to nobody, not to {name}: start")
    assert list(theirs.iterdir()) == []


@pytest.mark.parametrize("words", [("outbox", "list"), ("doctor",)])
def test_a_command_on_the_data_of_somebody_else_is_told_so(
    folder: Path, words: tuple[str, ...]
) -> None:
    """In a sentence, though nobody may even look whether a database is there."""
    folder.chmod(0o755)
    (made(folder / "theirs") / "postgres").mkdir()
    theirs, home = give(folder / "theirs", STRANGER), give(made(folder / "home"), COLLEAGUE)
    theirs.chmod(0o700)
    said = subprocess.run(
        command_of(COLLEAGUE, sys.executable, "-m", "service", *words),
        check=False,
        cwd=home,
        env=clean_environment(HOME="/nonexistent", COLUMNS="1000", TASKBELL_DATA=str(theirs)),
        capture_output=True,
        text=True,
    )
    told = said.stdout + said.stderr
    assert f"{theirs} belongs to nobody, not to daemon: start Taskbell as" in told
    assert "Traceback" not in said.stderr
    assert said.returncode == 1


def test_a_database_of_somebody_else_is_refused(folder: Path) -> None:
    """He would be its superuser, and tell Taskbell what he likes."""
    give(made(folder / "postgres"), STRANGER)
    give(made(folder / "postgres" / "PG_VERSION"), STRANGER)
    with pytest.raises(NotPrivate, match="belongs to nobody"):
        EmbeddedPostgres(folder / "postgres")


@contextmanager
def in_a_group_more() -> Iterator[None]:
    """As root often is; what root starts inherits it."""
    before = os.getgroups()
    os.setgroups([*before, 4])
    try:
        yield
    finally:
        os.setgroups(before)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def open_to_all(*folders: Path) -> None:
    for folder in folders:
        folder.chmod(0o777)
        for one in folder.glob(".s.PGSQL*"):
            one.chmod(0o777)


def knock(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
    return "let in"


async def connect(sockets: str) -> str:
    connection = await asyncpg.connect(f"postgresql://postgres@/postgres?host={sockets}")
    user = str(await connection.fetchval("SELECT current_user"))
    await connection.close()
    return user


def connect_as_stranger(sockets: str) -> str:
    return asyncio.run(connect(sockets))


def sockets_of(data: Path) -> Path:
    note = noted(data)
    assert note is not None
    return note.sockets


def begin(place: Path) -> str:
    """Both servers, and who they say one is."""
    with both_in(place) as (postgres, _):
        return connect_as_stranger(str(sockets_of(postgres.folder)))


def use(data: Path) -> str:
    with database(Settings(taskbell_data=data)) as (url, _):
        return url
