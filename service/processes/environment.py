"""The environment of the programs that this process starts: only what they need.

The environment also has unrelated tokens: those of the shell that `taskbell serve` was started in.
"""

import os
import sys
from pathlib import Path

_CODE = Path(__file__).parents[2]


_NAMES = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR"),
        *("VIRTUAL_ENV", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)
_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON", "MALLOC_")


def to_run() -> dict[str, str]:
    """What any program of ours needs to run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    }
    return kept | safe_imports()


def safe_imports() -> dict[str, str]:
    """Environment with which `python -m` does not import from the current folder.

    That folder may have a `workers.py` or a `service/` of its own, or those of another user of the
    machine. Our own code's folder is an exception: perhaps it is not installed.
    """
    return {} if Path.cwd() == _CODE else {"PYTHONSAFEPATH": "1"}


def import_safely() -> None:
    """Do the same in this process from now on."""
    if safe_imports() and not sys.flags.safe_path and sys.path[0] == str(Path.cwd()):
        del sys.path[0]
