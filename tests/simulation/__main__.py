"""python -m tests.simulation: what must be so before the code of Taskbell is imported.

Sets have the same order in every process, as a seed is to be the same history everywhere; and if a
mutant is asked for, the code has its defect.
"""

import os
import sys
from importlib import import_module

from tests.simulation.mutants import MUTANTS
from tests.simulation.mutation import infect

_ORDER = "PYTHONHASHSEED"


def _mutant() -> str | None:
    given = sys.argv[1:]
    return given[given.index("--mutant") + 1] if "--mutant" in given[:-1] else None


if __name__ == "__main__":
    if os.environ.get(_ORDER) != "0":
        os.environ[_ORDER] = "0"
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execv(sys.executable, again)  # noqa: S606 (it is this program itself)
    if (name := _mutant()) in MUTANTS:
        infect(MUTANTS[name])
    sys.exit(import_module("tests.simulation.command").main(sys.argv[1:]))
