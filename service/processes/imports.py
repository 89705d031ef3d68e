"""What the programs that we start import, whatever lies in the folder that they are started in."""

from pathlib import Path

_CODE = Path(__file__).parents[2]


def safe_imports() -> dict[str, str]:
    """Environment by which `python -m` does not import from the current folder.

    That folder is a person's, and may hold a `workers.py` or a `service/` of its own, or those of
    another user of the machine. Our own code's folder is an exception: perhaps it is not installed.
    """
    return {} if Path.cwd() == _CODE else {"PYTHONSAFEPATH": "1"}
