"""The files of one PostgreSQL cluster, accessible to their owner only."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import CannotStart
from service.processes.postgres_programs import find_programs
from service.processes.postmaster import noted
from service.processes.private_folder import make_private

SOCKET = ".s.PGSQL.5432"
_PORT = "5432"  # part of the socket's name only
_LOG = "log"

# The order of letters and their upper case are those of Unicode, whatever the terminal's language.
_NEW = (
    *("--username=postgres", "--auth=reject", "--encoding=UTF8", "--locale=C"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
# The kernel says who connects; of all users only the one that runs Taskbell gets in.
_WHO_MAY = {
    "pg_hba.conf": "# Taskbell writes this at each start.\nlocal all all peer map=taskbell\n",
    "pg_ident.conf": '# Taskbell writes this at each start.\ntaskbell "{user}" all\n',
}
_PAUSE = 0.02
_LINES = 50  # at the end of a log


class Cluster:
    """The files in `folder`, mode 0700; `owner` is the id of their user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = find_programs()
        self._user = pwd.getpwuid(os.geteuid()).pw_name
        self.owner = self._programs.user

    def create(self, lock: int) -> None:
        """Create the files unless they exist; all of them or none, even if it is interrupted.

        The creating process holds `lock`, even if this process is killed meanwhile.
        """
        if not (self.folder / "PG_VERSION").exists():
            new = self.folder.with_name(f"{self.folder.name}.new")
            shutil.rmtree(new, ignore_errors=True)
            make_private(new, self.owner)
            self._initialize(new, lock)
            new.rename(self.folder)
        make_private(self.folder, self.owner)

    def serve(self, sockets: Path) -> subprocess.Popen[bytes]:
        """Start the server, with its socket in `sockets`; returns when it is ready."""
        for name, text in _WHO_MAY.items():
            (self.folder / name).unlink(missing_ok=True)
            file = self._opened(name, os.O_EXCL)
            os.write(file, text.format(user=self._user).encode())
            os.close(file)
        log = self._opened(_LOG, os.O_APPEND)
        words = ("-h", "", "-k", str(sockets), "-p", _PORT, "-c", "unix_socket_permissions=0700")
        process = self._programs.start(self.folder, "postgres", *words, log=log)
        os.close(log)
        self._wait_for(process)
        return process

    def _initialize(self, folder: Path, lock: int) -> None:
        initdb = self._programs.start(folder, "initdb", *_NEW, log=subprocess.PIPE, held=[lock])
        with initdb, _ended_if_broken_off(initdb):
            said, _ = initdb.communicate()
        if initdb.returncode != 0:
            raise self._refused(_complaint(said.decode(errors="replace")))

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        with _ended_if_broken_off(process):
            # After a crash it may take minutes until all that was written is found again.
            while process.poll() is None:
                note = noted(self.folder)
                # Until then, the file is that of the process that served it before.
                if note is not None and note.pid == process.pid and note.is_ready:
                    return
                time.sleep(_PAUSE)
        raise self._refused(_complaint((self.folder / _LOG).read_text(errors="replace")))

    def _opened(self, name: str, how: int) -> int:
        """A file in the folder, opened for writing; a link in its place is not followed."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how
        opened = os.open(self.folder / name, flags, stat.S_IRUSR | stat.S_IWUSR)
        os.fchown(opened, self.owner, -1)
        return opened

    def _refused(self, reason: str) -> CannotStart:
        return CannotStart.because("PostgreSQL", self.folder, reason)


@contextmanager
def _ended_if_broken_off(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _complaint(said: str) -> str:
    """The last line of a program's output that is an error, or else its last line."""
    lines = said.splitlines()[-_LINES:] or ["it says nothing"]
    wrong = [line for line in lines if "FATAL" in line or "error:" in line]
    return (wrong or lines)[-1].strip()
