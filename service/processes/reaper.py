"""Stops the embedded servers when the supervisor was killed and cannot do it itself.

Unlike our own programs (see `parent_pipe`), PostgreSQL and Valkey do not notice that the process
that started them is gone. So a small process of its own, the guardian, waits on the same kind of
pipe, and stops them when it closes. It finds the servers by the files in their folders, because
they may have been started again in the meantime.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from service.processes import postmaster
from service.processes.environment import to_run
from service.processes.parent_pipe import wait_for_end_of_stdin
from service.processes.postmaster import FAST
from service.processes.private_folder import remove_socket_folder

VALKEY_ADDRESS = "address"
"""The file in a Valkey's folder that has its URL while it runs; commands look there for it too."""

_VALKEY_PATIENCE = 1.0  # seconds
_PAUSE = 0.02
# A smart shutdown waits for the workers: longer than one takes to settle what it has in hand.
_POSTGRES_ENDINGS = ((signal.SIGTERM, 40.0), FAST)


class Reaper:
    """The guardian process, as the supervisor sees it, and the pipe that it waits on."""

    def __init__(self, folders: Sequence[Path], lock: int) -> None:
        self._command = [sys.executable, "-m", __name__, *map(str, folders)]
        self._lock = lock
        self._process = self._start()

    def revive(self) -> None:
        """Start the guardian again if it was killed."""
        if self._process.poll() is not None:
            self.dismiss()
            self._process = self._start()

    def dismiss(self) -> None:
        """Close the pipe, and wait until the guardian has stopped all remaining servers."""
        self._process.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        # In a session of its own, out of reach of the terminal's Ctrl-C; with the lock, so that
        # the folder is not free before the servers in it have ended.
        return subprocess.Popen(  # noqa: S603 (our own module)
            self._command,
            stdin=subprocess.PIPE,
            pass_fds=[self._lock],
            env=to_run(),
            start_new_session=True,
        )


@contextmanager
def guarded(folders: Sequence[Path], lock: int) -> Iterator[Reaper]:
    """Make the servers in these folders end with this process; `lock` is held until they have."""
    guardian = Reaper(folders, lock)
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
        postmaster.end(folder, _POSTGRES_ENDINGS)


def _end_valkey(note: Path) -> None:
    """Stop Valkey at once: nothing in it is lost, and the workers can do without it."""
    with suppress(OSError):
        address = Path(urlsplit(note.read_text()).path)
        with _connected(address) as connection:
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")
            connection.recv(1)  # returns when it has ended
        note.unlink()
        remove_socket_folder(address.parent, note.parent)


def _connected(address: Path) -> socket.socket:
    """A connection to Valkey, which may have been started a moment ago."""
    deadline = time.monotonic() + _VALKEY_PATIENCE
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_VALKEY_PATIENCE)
        try:
            connection.connect(str(address))
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return connection


if __name__ == "__main__":
    main()
