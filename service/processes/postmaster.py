"""PostgreSQL's postmaster.pid: the process that serves a folder, and where it listens."""

import os
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from service.processes.private_folder import remove_socket_folder

POSTMASTER = "postmaster.pid"
"""The note; goes when the process has ended, unless that was killed."""

Ending: TypeAlias = tuple[signal.Signals, float]
"""A signal to end, and for how many seconds it is waited then."""
FAST: Ending = (signal.SIGINT, 20.0)  # breaks off what is under way
AT_ONCE: Ending = (signal.SIGQUIT, 5.0)  # leaves the files as a crash does

_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The process in postmaster.pid, and the folder of its socket."""

    pid: int
    sockets: Path
    port: int
    is_ready: bool

    def answers(self) -> bool:
        """Whether it listens. The file outlives a crash, and its process id may be reused."""
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.sockets / f".s.PGSQL.{self.port}"))
            except OSError:
                return False
        return True


def noted(folder: Path) -> Postmaster | None:
    """The contents of postmaster.pid in `folder`; None if it does not exist or is incomplete."""
    try:
        pid, _, _, port, sockets, _, _, status = (folder / POSTMASTER).read_text().splitlines()
        return Postmaster(int(pid), Path(sockets), int(port), status.strip() == "ready")
    except (OSError, ValueError):
        return None


def running(folder: Path) -> Postmaster | None:
    """The process that serves `folder` now."""
    found = noted(folder)
    return found if found is not None and found.answers() else None


def end(folder: Path, endings: Iterable[Ending]) -> None:
    """End the process that serves `folder`: with the first signal, or the next after a time-out."""
    found = running(folder)
    if found is None:
        return
    for number, patience in endings:
        with suppress(ProcessLookupError):
            os.kill(found.pid, number)
        deadline = time.monotonic() + patience
        while (is_there := (folder / POSTMASTER).exists()) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        if not is_there:
            break
    remove_socket_folder(found.sockets, folder)
