"""The programs of a Procfile, and the environment that they run in."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.processes.environment import to_run
from service.settings import Settings

# By these the clients of PostgreSQL and of OpenTelemetry are set.
_OF_CLIENTS = ("PG", "OTEL_")


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]


def read_procfile(path: Path, **counts: int) -> list[Program]:
    """The programs of a Procfile; `python` there stands for the current interpreter.

    `counts` says how many of a line's program to run: `worker=2` starts `worker.1` and `worker.2`.
    """
    programs = []
    for line in path.read_text().splitlines():
        name, _, command = line.partition(":")
        if command.strip():
            words = shlex.split(command)
            if words[0] == "python":
                words[0] = sys.executable
            names = _numbered(name.strip(), counts)
            programs += [Program(one, tuple(words)) for one in names]
    return programs


def _numbered(name: str, counts: Mapping[str, int]) -> list[str]:
    if name not in counts:
        return [name]
    return [f"{name}.{number}" for number in range(1, counts[name] + 1)]


def procfile() -> Path:
    """The Procfile of this installation."""
    return Path(__file__).with_name("Procfile")


def environment(**more: str) -> dict[str, str]:
    """The parts of this process's environment for web and worker, with some values replaced.

    These are their settings; values for `${NAME}` in the configuration are sent with it.
    """
    settings = {name.upper() for name in Settings.model_fields}
    wanted = settings | {f"{name}_FILE" for name in settings}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in wanted or name.startswith(_OF_CLIENTS)
    }
    return {**to_run(), **kept, **more}
