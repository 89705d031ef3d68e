"""Writes complete lines to the shared standard error, without interleaving."""

import fcntl
import io
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

_STDERR = 2


class LogLines(io.TextIOBase):
    """Takes complete lines, with their line ends, and writes each at once.

    A line that cannot be written, because of a full disk or a closed pipe, is lost: the work goes
    on.
    """

    def __init__(self) -> None:
        self._lock = Lock()

    def write(self, text: str) -> int:
        with self._lock, suppress(OSError), _alone():
            _write_all(text.encode(errors="backslashreplace"))
        return len(text)


@contextmanager
def _alone() -> Iterator[None]:
    """While no other process writes to the same pipe.

    A write to a file is atomic; one to a pipe only if it is short, or the pipe empty. Other files,
    such as /dev/null, are not locked: another process with a lock on them might never release it.
    """
    mode = os.fstat(_STDERR).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        yield
        return
    # Some systems lock no pipes.
    with suppress(OSError):
        fcntl.lockf(_STDERR, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.lockf(_STDERR, fcntl.LOCK_UN)


def _write_all(line: bytes) -> None:
    left = memoryview(line)
    while left:
        try:
            left = left[os.write(_STDERR, left) :]
        except BlockingIOError:
            # Whoever shares a terminal with us can have made it so.
            select.select([], [_STDERR], [])
