"""Programs of the system, as Debian packages them: root installs what is missing.

`python -m tests.harness.programs NAME` does that for one, and says why where it cannot.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_PACKAGES = {
    "chromium": "chromium",
    "pgbouncer": "pgbouncer",
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "nginx": "nginx-light",
    "ip": "iproute2",
    "faketime": "faketime",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
_PLACES = ("/usr/sbin", "/usr/bin", "/usr/local/bin")


class NotInstalled(Exception):
    """A program is not on this machine, and cannot be brought here; the message says why."""


@cache
def program(name: str) -> str:
    """The path of a program, which is installed first where root may do that."""
    if (found := find(name)) is None:
        _install(_PACKAGES.get(name, "postgresql"))
        found = find(name)
    if found is None:
        raise NotInstalled(f"{name} is not here, although its package is installed")
    return found


def find(name: str) -> str | None:
    """The path of a program, if it is on this machine."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, versions), *_PLACES]))


def faketime(by: str) -> dict[str, str]:
    """The environment of a process whose clock differs by so much, such as `-120s`."""
    folder = Path(program("faketime")).parents[1] / "lib"
    library = next(folder.glob("**/libfaketime.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def _install(package: str) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NotInstalled(f"{package} is not installed, and only root with apt-get installs it")
    install = ("install", "--yes", "--quiet", "--no-install-recommends", package)
    # The packages would start services on the usual ports, which nobody has asked for.
    with _services_stay_off():
        done = _apt_get(*install)
        if done.returncode:  # a fresh machine has no lists, or old ones
            _apt_get("update")
            done = _apt_get(*install)
    if done.returncode:
        last = done.stderr.decode().strip().rpartition("\n")[2]
        raise NotInstalled(f"{package} cannot be installed: {last}")


def _apt_get(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["apt-get", *words],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        check=False,
    )


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Answer "no" to every package that asks whether it may start its service."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


if __name__ == "__main__":
    try:
        program(sys.argv[1])
    except NotInstalled as error:
        print(f"The tests that need {sys.argv[1]} are skipped: {error}")
