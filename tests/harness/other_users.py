"""Other users of this machine, as whom a test tries what an attacker or a colleague would.

They are users that every system has, so none is made. Only root can be somebody else: elsewhere
these tests are skipped, and the reason says so.
"""

import os
import pwd
import stat
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

STRANGER, COLLEAGUE = "nobody", "daemon"
_PATIENCE = 60.0  # seconds

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
_FORKS = get_context("forkserver")


def user_id(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def give(path: Path, name: str) -> Path:
    """Make `path` the property of this user."""
    os.chown(path, user_id(name), pwd.getpwnam(name).pw_gid)
    return path


def done_by(name: str, work: Callable[..., Any], *words: Any) -> Any:
    """What `work` returns, done as this user in a process of its own; the text of an exception.

    `name` may also be a user id without a name, such as `#12345`.
    """
    ours, theirs = _FORKS.Pipe()
    process = _FORKS.Process(target=_do, args=(theirs, name, work, words))
    process.start()
    theirs.close()
    try:
        assert ours.poll(_PATIENCE), f"{work.__name__} does not end"
        return ours.recv()
    finally:
        process.join()
        process.close()
        ours.close()


def command_of(name: str, *words: str) -> list[str]:
    """The command that runs these words as this user.

    Where he could not reach the interpreter, he may read what root can, and no more than read.
    """
    found = pwd.getpwnam(name)
    rights = ("--clear-groups", "--reuid", str(found.pw_uid), "--regid", str(found.pw_gid))
    reading = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    return ["setpriv", *rights, *(() if _is_within_reach() else reading), *words]


def _is_within_reach() -> bool:
    real = Path(sys.executable).resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (real, *real.parents))


def _do(pipe: Connection, name: str, work: Callable[..., Any], words: tuple[Any, ...]) -> None:
    user = int(name[1:]) if name.startswith("#") else user_id(name)
    os.environ["HOME"] = "/nonexistent"
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    try:
        pipe.send(work(*words))
    except Exception as error:  # noqa: BLE001 (whatever it is, the test looks at it)
        pipe.send(f"{type(error).__name__}: {error}")
