"""Stops the embedded servers when the supervisor was killed and cannot do it itself.

Unlike our own programs (see `lifeline`), PostgreSQL and Valkey do not notice that whoever started
them is gone. So a small process of its own sleeps on the same kind of pipe, and stops them when
that ends. It finds the servers by the files that they keep in their folders, because they may have
been started again in the meantime.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from service.processes.lifeline import wait_for_end_of_stdin

VALKEY_ADDRESS = "address"
"""The file in a Valkey's folder that has its URL while it runs; commands look there for it too."""
POSTMASTER = "postmaster.pid"
"""PostgreSQL's own note in its folder, first its process id; goes when it has ended."""

_WORKERS_PATIENCE = 40.0  # seconds; more than a worker takes to settle what it has in hand
_POSTGRES_PATIENCE = 20.0
_PAUSE = 0.05


class Guardian:
    """The guardian process, as the supervisor sees it, and the pipe that it waits on."""

    def __init__(self, folders: Sequence[Path], lock: int) -> None:
        self._command = [sys.executable, "-m", __name__, *map(str, folders)]
        self._lock = lock
        self._process = self._start()

    def revive(self) -> None:
        """Start the guardian again if somebody killed it."""
        if self._process.poll() is not None:
            self.dismiss()
            self._process = self._start()

    def dismiss(self) -> None:
        """Close the pipe, and wait until the guardian has stopped whatever still runs."""
        self._process.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        # In a session of its own, out of reach of the terminal's Ctrl-C; with the lock, so that
        # the folder is not free before the servers in it have ended.
        return subprocess.Popen(  # noqa: S603 (our own module)
            self._command, stdin=subprocess.PIPE, pass_fds=[self._lock], start_new_session=True
        )


@contextmanager
def guarded(folders: Sequence[Path], lock: int) -> Iterator[Guardian]:
    """Make the servers in these folders end with this process; `lock` is held until they have."""
    guardian = Guardian(folders, lock)
    try:
        yield guardian
    finally:
        guardian.dismiss()


def main() -> None:
    """Wait until the supervisor is gone, then end the servers in the folders named as arguments."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wait_for_end_of_stdin()
    for folder in map(Path, sys.argv[1:]):
        _end_valkey(folder / VALKEY_ADDRESS)
        _end_postgres(folder / POSTMASTER)


def _end_valkey(note: Path) -> None:
    """Stop Valkey at once: nothing in it is lost, and the workers can do without it."""
    with suppress(OSError):
        address = urlsplit(note.read_text())
        with socket.create_connection((address.hostname, address.port), timeout=1) as connection:
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        note.unlink()


def _end_postgres(note: Path) -> None:
    """Ask PostgreSQL for a smart shutdown, which waits for the workers; then for a fast one."""
    if not _is_answered(note):
        return
    for way, patience in (
        (signal.SIGTERM, _WORKERS_PATIENCE),
        (signal.SIGINT, _POSTGRES_PATIENCE),
    ):
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(note.read_text().split()[0]), way)
            deadline = time.monotonic() + patience
            while note.exists() and time.monotonic() < deadline:
                time.sleep(_PAUSE)


def _is_answered(note: Path) -> bool:
    """Whether PostgreSQL is there. A note outlives a crash, and its process id may be anybody's."""
    try:
        _, _, _, port, folder, host, *_ = note.read_text().splitlines()
        if folder:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(f"{folder}/.s.PGSQL.{port}")
        else:
            socket.create_connection((host, int(port)), timeout=1).close()
    except (OSError, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
