"""Reads files that people name: only regular files, and only up to a maximum size.

A pipe waits for a writer, and a device has no end. Neither is opened, because opening it can block
or have side effects.
"""

import errno
import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISFIFO, "it is a pipe, not a file"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
    (stat.S_ISDIR, os.strerror(errno.EISDIR)),
)


def read_regular(path: Path, most: int) -> bytes:
    """The first bytes of a file, up to this many; links are followed.

    Raises OSError, with a `strerror` for people, if it is not a regular file or cannot be read.
    """
    try:
        _demand_regular(path, path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError:
        raise OSError(errno.EINVAL, "the name is not valid", str(path)) from None
    with os.fdopen(descriptor, "rb") as opened:
        # It may be another one by now.
        _demand_regular(path, os.fstat(descriptor).st_mode)
        found = opened.read(most)
    if found is None:
        raise OSError(errno.EAGAIN, "nothing can be read from it", str(path))
    return found


def _demand_regular(path: Path, mode: int) -> None:
    for is_it, what in _KINDS:
        if is_it(mode):
            raise OSError(errno.EINVAL, what, str(path))
