"""Taskbell as `pip` installs it: built from a copy of its sources, in an environment of its own."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import asyncpg

ROOT = Path(__file__).parents[2]
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "Procfile")
_PACKAGES = ("service", "workers")
_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with Taskbell in it."""

    environment: Path

    @property
    def taskbell(self) -> str:
        """The command."""
        return str(self.environment / "bin" / "taskbell")


def build(folder: Path) -> Path:
    """The wheel, as a fresh checkout gives it."""
    sources = folder / "sources"
    sources.mkdir(parents=True)
    for name in _SOURCES:
        copy(ROOT / name, sources)
    for name in _PACKAGES:
        copytree(ROOT / name, sources / name, symlinks=True, ignore=ignore_patterns("__pycache__"))
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    _run(*_PIP, "wheel", *options, str(sources))
    [wheel] = folder.glob("*.whl")
    return wheel


def install(wheel: Path, environment: Path) -> Installed:
    """Install the wheel; what it depends on is borrowed from the environment of the tests."""
    _run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    options = ("--no-deps", "--no-index")
    _run(*_PIP, "--python", str(environment / "bin/python"), "install", *options, str(wheel))
    # Only now: pip would take the Taskbell over there for the one that it is to install.
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(f"{Path(asyncpg.__file__).parents[1]}\n")
    return Installed(environment)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
