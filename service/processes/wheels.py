"""The servers' programs, which come in their own wheels."""

from importlib.util import find_spec
from pathlib import Path

from service.errors import CannotStart


class NoProgram(CannotStart):
    """A wheel does not contain its program."""


def find_program(package: str, pattern: str) -> Path:
    """The program in an installed package; the package itself is not imported.

    The Python code of these packages is for single-user machines: its ports and locks are open to
    all.
    """
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        for program in Path(folder).glob(pattern):
            return program
    raise NoProgram(
        f"There is no {pattern.rpartition('/')[2]} for this machine in the package {package}:"
        " install Taskbell again, or set DATABASE_URL and REDIS_URL."
    )
