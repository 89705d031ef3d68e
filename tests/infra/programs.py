"""Programs of the system that check what infra/ has; without one, its tests are skipped."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"

_WHENCE: Mapping[str, str] = {
    "promtool": "Debian's package prometheus has it",
    "systemd-analyze": "Debian's package systemd has it",
    "kubectl": "it belongs to Kubernetes",
}


def checked(program: str, *arguments: object, given: str = "") -> str:
    """What the program prints; fails with it where the program says that something is wrong."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not here: {_WHENCE[program]}")
    ended = subprocess.run(
        [path, *map(str, arguments)],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout
