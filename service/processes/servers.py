"""PostgreSQL and Redis for one run: those of the settings, or embedded ones."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.errors import TaskbellError
from service.processes import embedded
from service.processes.embedded import POSTGRES, VALKEY, discard, make_data
from service.processes.reaper import guarded
from service.processes.supervisor import Restartable
from service.processes.users import open_lock
from service.settings import Settings

log = structlog.get_logger()


class DataFolderTaken(TaskbellError):
    """The folder for the embedded servers is not available; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The addresses of PostgreSQL and Redis, and the embedded servers to keep running (`own`)."""

    database: str
    redis: str
    own: tuple[Restartable, ...] = ()


@contextmanager
def running(settings: Settings, *, anew: bool = False) -> Iterator[Servers]:
    """The servers for a run; embedded ones end with this process, even if it is killed.

    `anew`: begin with an empty embedded database. Raises DataFolderTaken, CannotStart.
    """
    urls = {POSTGRES: settings.database_url, VALKEY: settings.redis_url}
    folders = [settings.taskbell_data / name for name, url in urls.items() if url is None]
    if not folders:
        yield Servers(settings.database, settings.redis)
        return
    with _claimed(settings.taskbell_data) as lock:
        for folder in folders:
            # All that a Valkey leaves behind is its address, at which it does not run any more.
            if anew or folder.name == VALKEY:
                discard(folder)
        with (
            guarded(folders, lock) as guardian,
            embedded.database(settings) as (database, postgres),
            embedded.redis(settings) as (redis, valkey),
        ):
            own = (one for one in (guardian, postgres, valkey) if one is not None)
            yield Servers(database, redis, tuple(own))


@contextmanager
def _claimed(folder: Path) -> Iterator[int]:
    """Lock `folder` for this process and its guardian; returns the guardian's descriptor.

    There are two locks. A running Taskbell holds both: then this one must not start. After a
    Taskbell was killed, its guardian holds the second lock while it stops the servers: this one
    waits for that.
    """
    make_folder(folder)
    with _opened(folder / "lock") as ours, _opened(folder / "guardian.lock") as guardians:
        if not _locked(ours):
            raise DataFolderTaken(
                f"Another Taskbell already uses {folder}."
                " Stop it, or set a different TASKBELL_DATA for this one."
            )
        if not _locked(guardians):
            log.info("servers.ending", folder=str(folder), of="a Taskbell that was killed")
            fcntl.flock(guardians, fcntl.LOCK_EX)
        yield guardians


def make_folder(folder: Path) -> None:
    """Create a data folder, for this user only; raises DataFolderTaken, NotPrivate."""
    with _explained(folder):
        make_data(folder)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    with _explained(path.parent):
        lock = open_lock(path)
    try:
        yield lock
    finally:
        os.close(lock)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataFolderTaken(
            f"Taskbell cannot store anything in {folder}: {error.strerror}. See TASKBELL_DATA."
        ) from error


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
