"""Replaces a file of a configuration atomically: a reader sees the old text or the new one."""

import os
import stat
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from tempfile import mkstemp

from service.document.files import MAX_BYTES
from service.errors import TaskbellError
from service.regular_file import read_regular

_BOM = b"\xef\xbb\xbf"
_MARK_BYTES = 16


class FileChanged(TaskbellError):
    """The file has changed since it was read."""


def mark_of(contents: bytes) -> str:
    """A mark that differs for other contents."""
    return blake2b(contents, digest_size=_MARK_BYTES).hexdigest()


def replace_text(file: Path, text: str, mark: str) -> None:
    """Put the text into the file, whose contents must still have this mark.

    Owner, mode, the kind of line ends and a byte order mark stay as they are. Raises FileChanged,
    or OSError if the file cannot be replaced; then it is as before.
    """
    before = _demand_unchanged(file, mark)
    status = file.stat()
    # No file with this ending belongs to a configuration.
    descriptor, beside = mkstemp(prefix=f".{file.name}.", suffix=".tmp", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            opened.write(_encoded(text, before))
            opened.flush()
            os.fsync(descriptor)
        _demand_unchanged(file, mark)
        Path(beside).replace(file)
    finally:
        with suppress(FileNotFoundError):
            Path(beside).unlink()
    _keep_names(file.parent)


def _demand_unchanged(file: Path, mark: str) -> bytes:
    """The contents of the file."""
    contents = read_regular(file, MAX_BYTES + 1)
    if mark_of(contents) != mark:
        raise FileChanged(f"{file.name} has changed on disk")
    return contents


def _encoded(text: str, before: bytes) -> bytes:
    if b"\r\n" in before:
        text = text.replace("\n", "\r\n")
    return (_BOM if before.startswith(_BOM) else b"") + text.encode()


def _keep_names(folder: Path) -> None:
    """Have the folder's new entry survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
