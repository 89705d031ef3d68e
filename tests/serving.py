"""`taskbell serve` as a terminal or a process manager starts it: all of it, in its own folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.commands import clean_environment

TIME_TO_END = 20.0  # seconds


@contextmanager
def serving(folder: Path, port: int, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m service serve`, as a terminal starts it: a process group of its own."""
    with (folder / "said").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            cwd=folder,
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
