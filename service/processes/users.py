"""Counts the processes that share something, by locks that end with their process."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MODE = stat.S_IRUSR | stat.S_IWUSR


def open_lock(path: Path) -> int:
    """A file to be locked, for this user only; a link in its place is not followed."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _MODE)


class Users:
    """The processes that use `thing`, a path beside which their locks are stored.

    The kernel releases the lock of a process that is killed, so that it is no longer counted.
    """

    def __init__(self, thing: Path) -> None:
        self._beginning = thing.with_name(f"{thing.name}.lock")
        self._users = thing.with_name(f"{thing.name}.users")
        self._ours: int | None = None

    @contextmanager
    def nobody_else_begins_or_ends(self) -> Iterator[int]:
        """Within this block no other process joins or leaves; returns the lock."""
        lock = open_lock(self._beginning)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def join(self) -> None:
        self._ours = open_lock(self._users)
        fcntl.flock(self._ours, fcntl.LOCK_SH)

    def leave(self) -> bool:
        """Returns whether no process is left."""
        if self._ours is None:
            return False
        try:
            fcntl.flock(self._ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(self._ours)
            self._ours = None
        return True
