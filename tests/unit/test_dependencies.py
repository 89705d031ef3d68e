"""What may be installed has no published hole: the bounds and the lock beside advisories.toml."""

import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
IDENTIFIER = re.compile(r"GHSA(-[0-9a-z]{4}){3}|CVE-\d{4}-\d{4,}|PYSEC-\d{4}-\d+")
A_LONG_TIME = timedelta(days=90)


def _read(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text())


PUBLISHED = _read("tests/advisories.toml")
PROJECT = _read("pyproject.toml")
LOCKED = {
    canonicalize_name(name): Version(version)
    for name, version in re.findall(
        r"^(\S+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
}


class Advisory(NamedTuple):
    """A published hole; `why` it can be lived with, where no release mends it."""

    package: str
    id: str
    affected: str
    what: str
    why: str = ""

    def has(self, version: Version) -> bool:
        return SpecifierSet(self.affected).contains(version, prereleases=True)


ADVISORIES = [Advisory(**entry) for entry in PUBLISHED["advisory"]]
OPEN = [Advisory(**entry) for entry in PUBLISHED["open"]]


PACKAGE = PROJECT["project"]
REQUIREMENTS = [
    Requirement(each)
    for each in (
        *PROJECT["build-system"]["requires"],
        *PACKAGE["dependencies"],
        *(each for extra in PACKAGE["optional-dependencies"].values() for each in extra),
    )
]


def _starts(specifiers: SpecifierSet) -> list[Version]:
    return [Version(each.version) for each in specifiers if each.operator in {">=", "==", "~="}]


def _lets_in(requirement: Requirement, advisory: Advisory) -> bool:
    """Say whether a version that `requirement` allows has the hole.

    Where two ranges meet at all, they meet where one of them begins.
    """
    starts = _starts(requirement.specifier) + _starts(SpecifierSet(advisory.affected))
    return any(
        requirement.specifier.contains(start, prereleases=True) and advisory.has(start)
        for start in starts
    )


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_a_requirement_lets_no_hole_in(requirement: Requirement) -> None:
    """It has a lower bound, and neither that nor what is above it is in an affected range."""
    assert _starts(requirement.specifier), f"{requirement} needs a lower bound"
    name = canonicalize_name(requirement.name)
    holes = [each for each in ADVISORIES if each.package == name and _lets_in(requirement, each)]
    assert not holes, f"{requirement} lets in: raise its bound above {holes}"


def test_the_lock_has_no_hole() -> None:
    """What `make setup` and the image install is in no affected range."""
    holes = [each for each in ADVISORIES if each.has(LOCKED[canonicalize_name(each.package)])]
    assert not holes, f"make lock has to bring later releases: {holes}"


def test_what_had_a_hole_is_bound() -> None:
    """Whether a needing package has a bound that is high enough is not left to it."""
    bound = {canonicalize_name(each.name) for each in REQUIREMENTS}
    unbound = {each.package for each in ADVISORIES} - bound
    assert not unbound, f"pyproject.toml has no lower bound for {sorted(unbound)}"


def test_every_package_was_looked_up() -> None:
    """A package that comes into the lock is looked up before it is used."""
    known = [each.package for each in ADVISORIES + OPEN] + PUBLISHED["clear"]
    assert set(known) == set(LOCKED), "advisories.toml and requirements.lock name other packages"
    assert not set(PUBLISHED["clear"]) & {each.package for each in ADVISORIES + OPEN}


@pytest.mark.parametrize("advisory", ADVISORIES + OPEN, ids=lambda each: each.id)
def test_an_advisory_can_be_found_again(advisory: Advisory) -> None:
    """It has the name that it was published under, and says what it is about."""
    assert IDENTIFIER.fullmatch(advisory.id)
    assert advisory.what


@pytest.mark.parametrize("advisory", OPEN, ids=lambda each: each.id)
def test_an_open_hole_is_in_the_lock_and_says_why(advisory: Advisory) -> None:
    """Once a release mends it, it is an advisory like the others."""
    assert advisory.has(LOCKED[canonicalize_name(advisory.package)]), "move it to [[advisory]]"
    assert advisory.why


def test_the_list_is_fresh() -> None:
    """An old one is said, and no more: a checkout does not go bad by lying there."""
    looked_up = PUBLISHED["looked_up"]
    assert isinstance(looked_up, date)
    if datetime.now(UTC).date() - looked_up > A_LONG_TIME:
        pytest.skip(f"tests/advisories.toml is of {looked_up}: look the packages up again")
