"""The servers' programs, which come in wheels of their own."""

from importlib.util import find_spec
from pathlib import Path

from service.processes.cannot_start import CannotStart


class NoProgram(CannotStart):
    """A wheel does not hold the program that it is there for."""


def find_program(package: str, pattern: str) -> Path:
    """The program in an installed package; the package itself is not imported.

    What these packages do in Python is for one user of a machine: ports and locks for everybody.
    """
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        for program in Path(folder).glob(pattern):
            return program
    raise NoProgram(
        f"There is no {pattern.rpartition('/')[2]} for this machine in the package {package}:"
        " install Taskbell again, or set DATABASE_URL and REDIS_URL."
    )
