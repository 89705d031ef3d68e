"""`taskbell serve` as a terminal or a process manager starts it: all of it, in its own folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil

from tests.harness.commands import clean_environment

TIME_TO_END = 20.0  # seconds


# Runs a command in a session whose terminal is its standard input.
_IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Terminal:
    """A terminal without a person; whoever runs in it is told when it is closed."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.openpty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for end in {self._ours, self.theirs} - {-1}:
            os.close(end)
        self._ours = self.theirs = -1


@contextmanager
def serving(
    folder: Path, port: int, *, terminal: Terminal | None = None, **environ: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m service serve` in a process group of its own, and in this terminal if any."""
    command = ["-m", "service", "serve"]
    with (folder / "said").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *(command if terminal is None else ["-c", _IN_TERMINAL, *command])],
            cwd=folder,
            stdin=None if terminal is None else terminal.theirs,
            env=clean_environment(PORT=str(port), **environ),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(TIME_TO_END)


def programs(serve: subprocess.Popen[bytes], name: str) -> list[psutil.Process]:
    """What `taskbell serve` runs under this name: `web`, or `worker` for all workers."""
    found = []
    for one in psutil.Process(serve.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just died
            if " ".join(one.cmdline()).startswith(f"taskbell: {name}"):
                found.append(one)
    return found


def said(folder: Path) -> str:
    """What the terminal shows, without its line ends."""
    return " ".join((folder / "said").read_text().split())


def press_ctrl_c(process: subprocess.Popen[bytes]) -> None:
    """A terminal sends SIGINT to everything in the foreground."""
    os.killpg(process.pid, signal.SIGINT)


def at_work(folder: Path) -> list[str]:
    """The command line of every process that has to do with this folder."""
    return [
        " ".join(process.info["cmdline"] or ())
        for process in psutil.process_iter(["cmdline", "cwd"])
        if str(folder) in f"{process.info['cmdline']} {process.info['cwd']}"
    ]
