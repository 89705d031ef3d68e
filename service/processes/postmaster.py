"""PostgreSQL's own note in its folder: which process serves it, and where it listens."""

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
    """The process that the note names, and the folder of its socket."""

    pid: int
    sockets: Path
    port: int
    is_ready: bool

    def answers(self) -> bool:
        """Whether somebody listens. A note outlives a crash, and its number may be anybody's."""
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.sockets / f".s.PGSQL.{self.port}"))
            except OSError:
                return False
        return True


def noted(folder: Path) -> Postmaster | None:
    """What the note in `folder` says; None if there is none, or not yet all of it."""
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
    """End whoever serves `folder`: in the first of these ways, or the next if it takes too long."""
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
