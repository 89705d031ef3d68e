"""Histories of the simulation: the laws hold in all of them, and each can be had again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from service.processes.embedded import EmbeddedPostgres
from tests.harness.databases import Database, with_database

ROOT = Path(__file__).parents[2]
IS_SOAKING = settings.get_current_profile_name() == "soak"
SEEDS, AT_ONCE = (10_000, 1250) if IS_SOAKING else (200, 100)


@pytest.fixture
def url(postgres: EmbeddedPostgres, database: Database) -> str:
    """A migrated database, as its superuser."""
    return with_database(postgres.url, database.name)


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run histories in a process of their own, in which sets have a fixed order."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_the_laws_hold(url: str, first: int) -> None:
    """Whatever goes wrong: nothing is lost, nobody is told twice, and all ends with a reason."""
    ended = simulate(f"{first}-{first + AT_ONCE - 1}", "--url", url)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_seed_is_one_history(url: str) -> None:
    """The same statements at the same times, with the same results, in another process as well."""
    first, again = simulate("17", "--url", url), simulate("17", "--url", url)
    assert first.stdout.startswith("seed 17, ")
    assert first.stdout == again.stdout


def test_a_history_does_not_depend_on_those_before_it(url: str) -> None:
    """What failed among a thousand fails alone."""
    among_others = simulate("10-17", "--url", url, "--digests").stdout
    alone = simulate("17", "--url", url).stdout
    [digest] = re.findall(r"seed 17, (\w+)", alone)
    assert f"seed 17, {digest}" in among_others


def test_a_failing_history_is_made_as_short_as_it_can_be(url: str) -> None:
    """Of many steps only those are left without which the law would hold."""
    ended = simulate("0-40", "--url", url, "--mutant", "customers_are_told_blindly")
    assert ended.returncode == 1
    shortest = ended.stdout.partition("the shortest history found that breaks the same law:")[2]
    steps = [line for line in shortest.splitlines() if re.search(r"task \d:|pass$", line)]
    assert 1 <= len(steps) <= 3, ended.stdout
