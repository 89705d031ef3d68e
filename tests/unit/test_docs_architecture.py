"""docs/architecture.md is the map of the code: every package is on it, and nothing that is gone."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PACKAGES = {
    f"{module.parent.relative_to(ROOT)}/"
    for top in ("service", "workers")
    for module in (ROOT / top).rglob("__init__.py")
}


def test_every_package_is_on_the_map() -> None:
    """Each has a line that says what it is for; `service/` as a whole is the map itself."""
    assert {one for one in PACKAGES - {"service/"} if f"`{one}" not in MAP} == set()


def test_what_is_on_the_map_is_there() -> None:
    """A module that has moved is missed here before a reader misses it."""
    named = set(re.findall(r"`((?:service|workers)/[\w/.]+)`", MAP))
    assert named
    assert {one for one in named if not (ROOT / one).exists()} == set()
