"""The environment of the programs that this process starts: only what they need.

The environment also has unrelated tokens: those of the shell that `taskbell serve` was started in.
"""

import os

from service.processes.imports import safe_imports

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
