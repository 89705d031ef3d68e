"""Folders that only their owner may enter, for data, sockets and locks.

On a machine with several users, a user who can enter a folder can use its sockets, and one who can
write in it can put links in place of the files that are written there.
"""

import os
import pwd
import re
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.errors import CannotStart

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_TEMPORARY = "/tmp"  # noqa: S108 (the name is followed by a random one)

# What macOS takes, in bytes; Linux takes 107.
_LONGEST_ADDRESS = 103
# What stands in an address, in a list of folders and in a setting without being quoted.
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")


class NotPrivate(CannotStart):
    """A folder cannot be this user's alone; the message says why and what to do."""


def make_private(folder: Path, owner: int | None = None) -> None:
    """Create `folder` if it does not exist, and close it to others: mode 0700.

    `owner`: the user id of its owner if it is not this user; only root may name another. Raises
    NotPrivate if it is another user's, OSError if it cannot be created.
    """
    folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    with _opened(folder) as opened:
        _close_to_others(opened, folder, owner)


def make_data_folder(folder: Path, known: Collection[str], owners: Collection[int]) -> None:
    """As `make_private`, for a folder that was named by a person, which may be any.

    If others could enter it until now, it may only contain what is `known` and belongs to `owners`.
    """
    folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    with _opened(folder) as opened:
        _demand_owner(opened, folder, os.geteuid())
        if os.fstat(opened).st_mode & _OTHERS:
            _demand_only_ours(opened, folder, known, owners)
        _close_to_others(opened, folder)


def socket_folder(folder: Path, name: str, owner: int) -> Path:
    """The folder for a server's socket `name`: `folder`, or else a new one with a short path.

    Clients reach a socket by its path, which must be short and plain; and the server must reach it,
    which runs as `owner`.
    """
    if _is_short(folder / name) and _can_be_reached(folder.parent, owner):
        return folder
    for base in (tempfile.gettempdir(), _TEMPORARY):
        if _is_short(Path(base, "taskbell-12345678", name)) and _can_be_reached(Path(base), owner):
            # The name is unpredictable, so that no other user can create it first.
            made = Path(tempfile.mkdtemp(prefix="taskbell-", dir=base))
            os.chown(made, owner, -1)
            return made
    raise NotPrivate(
        f"The path {folder} is too long for a socket, and so is {tempfile.gettempdir()}:"
        " set TASKBELL_DATA to a shorter path."
    )


def remove_socket_folder(sockets: Path, folder: Path) -> None:
    """Remove the folder from `socket_folder` for `folder`, once the server has ended."""
    if sockets != folder.absolute():
        with suppress(OSError):
            sockets.rmdir()


def is_open_to_all(folder: Path) -> bool:
    """Whether every user can reach the contents of this folder."""
    real = folder.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (real, *real.parents))


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    # The checked folder is then also the changed one, even if it is renamed in the meantime.
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield opened
    finally:
        os.close(opened)


def _close_to_others(opened: int, folder: Path, owner: int | None = None) -> None:
    if owner is not None and owner != os.geteuid() == os.fstat(opened).st_uid:
        os.fchown(opened, owner, -1)
    _demand_owner(opened, folder, os.geteuid() if owner is None else owner)
    os.fchmod(opened, stat.S_IRWXU)


def _demand_owner(opened: int, folder: Path, owner: int) -> None:
    found = os.fstat(opened).st_uid
    if found != owner:
        raise NotPrivate(
            f"{folder} belongs to {_name(found)}, not to {_name(owner)}: start Taskbell as"
            f" {_name(found)}, or set a different TASKBELL_DATA for this one."
        )


def _demand_only_ours(
    opened: int, folder: Path, known: Collection[str], owners: Collection[int]
) -> None:
    with os.scandir(opened) as entries:
        for entry in entries:
            if entry.name not in known:
                raise NotPrivate(
                    f"Others can enter {folder}, and it holds more than Taskbell's data, such as"
                    f" {entry.name}: set TASKBELL_DATA to a folder that only Taskbell uses."
                )
            owner = entry.stat(follow_symlinks=False).st_uid
            if owner not in owners:
                raise NotPrivate(
                    f"Others can enter {folder}, and {entry.name} in it belongs to {_name(owner)}:"
                    " remove it, or set TASKBELL_DATA to a folder that only Taskbell uses."
                )


def _is_short(socket: Path) -> bool:
    path = os.fsencode(socket)
    return len(path) <= _LONGEST_ADDRESS and _PLAIN.fullmatch(str(socket)) is not None


def _can_be_reached(folder: Path, user: int) -> bool:
    return user == os.geteuid() or is_open_to_all(folder)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
