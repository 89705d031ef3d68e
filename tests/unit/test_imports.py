"""What the code imports is there wherever Taskbell was installed, and not only in a workshop."""

import ast
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OURS = {"service", "workers"}
TYPES_ONLY = {"_typeshed"}  # known to mypy, and never imported when it runs


def test_every_import_comes_with_the_dependencies() -> None:
    """With those in pyproject.toml or theirs; what tests and tools need does not count."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = {canonicalize_name(name) for name in with_theirs(project["dependencies"])}
    packages = metadata.packages_distributions()
    missing = {
        module
        for module in imported() - set(sys.stdlib_module_names) - OURS - TYPES_ONLY
        if installed.isdisjoint(map(canonicalize_name, packages.get(module, ())))
    }
    assert not missing


def imported() -> set[str]:
    """The first names of all modules that the code imports."""
    found = set()
    for path in (one for package in OURS for one in (ROOT / package).rglob("*.py")):
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
