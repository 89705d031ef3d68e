"""What the code imports is there wherever Taskbell was installed, and not only in a workshop."""

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.harness.commands import PRELOADED

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"service", "workers"}
TYPES_ONLY = {"_typeshed"}  # known to mypy, and never imported when it runs
OPTIONAL = {ROOT / "service/telemetry/exporting.py": "otel"}


def test_every_import_comes_with_the_dependencies() -> None:
    """With those in pyproject.toml or theirs; what tests and tools need does not count."""
    wanted = imported(path for path in sources() if path not in OPTIONAL)
    assert not missing(wanted, PROJECT["dependencies"])


@pytest.mark.parametrize("path", OPTIONAL)
def test_what_is_optional_comes_with_its_extra(path: Path) -> None:
    """A module that is only imported where its extra is wanted, as in `taskbell[otel]`."""
    extra = PROJECT["optional-dependencies"][OPTIONAL[path]]
    assert not missing(imported([path]), [*PROJECT["dependencies"], *extra])
    assert missing(imported([path]), PROJECT["dependencies"]), "it is not optional any more"


def missing(modules: set[str], requirements: Iterable[str]) -> set[str]:
    """Those of the modules that do not come with the requirements."""
    installed = {canonicalize_name(name) for name in with_theirs(requirements)}
    packages = metadata.packages_distributions()
    return {
        module
        for module in modules - set(sys.stdlib_module_names) - OURS - TYPES_ONLY
        if installed.isdisjoint(map(canonicalize_name, packages.get(module, ())))
    }


def sources() -> Iterator[Path]:
    return (path for package in OURS for path in (ROOT / package).rglob("*.py"))


def imported(paths: Iterable[Path]) -> set[str]:
    """The first names of all modules that this code imports."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def with_theirs(requirements: Iterable[str]) -> set[str]:
    """The names of these distributions and of all that they need here."""
    found: set[str] = set()
    waiting = [Requirement(one) for one in requirements]
    while waiting:
        one = waiting.pop()
        if one.name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            found.add(one.name)
            waiting += map(Requirement, metadata.requires(one.name) or ())
    return found


@pytest.mark.parametrize("name", PRELOADED)
def test_what_commands_are_forked_with_is_there(name: str) -> None:
    """The server of forks says nothing of a module that is not, and each command is slow then."""
    assert find_spec(name) is not None
