"""Keeps the programs that we start from importing modules from the folder they start in."""

from pathlib import Path

_CODE = Path(__file__).parents[2]


def safe_imports() -> dict[str, str]:
    """Environment with which `python -m` does not import from the current folder.

    That folder may have a `workers.py` or a `service/` of its own, or those of another user of the
    machine. Our own code's folder is an exception: perhaps it is not installed.
    """
    return {} if Path.cwd() == _CODE else {"PYTHONSAFEPATH": "1"}
