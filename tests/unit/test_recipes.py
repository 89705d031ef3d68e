"""The page of recipes: each rule on it does what its test says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from service.config import RulesConfig, load, sketch
from service.simulator.rule_tests.report import lines
from service.simulator.rule_tests.runner import RuleTestStage, run

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
HEAD, *RECIPES = re.findall(
    r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
)
FILES = dict(
    re.findall(r"^```csv (\S+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
)
NAMES = [re.findall(r"^  - id: (\S+)", recipe, re.MULTILINE) for recipe in RECIPES]
NAMED = re.findall(r"\$\{(\w+)\}", HEAD)
SECRETS = dict.fromkeys([*NAMED, "TASKBELL_URL"], "whsec_dGFza2JlbGwgdGFza2JlbGw=")


async def failures(found: RulesConfig, without: str = "") -> list[str]:
    """What is said of the tests that fail; `without` a rule."""
    trials = [replace(one, rules=one.rules - {without}) for one in found.trials]
    results = [await run(trial, RuleTestStage.of(found)) for trial in trials]
    return [line for one in results if one.failures for line in lines(one)]


def test_there_are_enough() -> None:
    """At least twenty recipes, and no two rules of the same name."""
    rules = [name for names in NAMES for name in names]
    assert len(RECIPES) >= 20
    assert len(set(rules)) == len(rules)


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """The files that recipes have beside them."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")


async def test_all_of_them_together(tmp_path: Path) -> None:
    """As a folder with a file for each they are one configuration, as sound as each alone."""
    for number, text in enumerate([HEAD, *RECIPES]):
        (tmp_path / f"{number:02}.yaml").write_text(text, encoding="utf-8")
    assert load(tmp_path, SECRETS).warnings == ()
    assert await failures(sketch(tmp_path, {})) == []


@pytest.mark.parametrize("recipe", RECIPES, ids=map("-".join, NAMES))
async def test_recipe(recipe: str, tmp_path: Path) -> None:
    """It loads without a warning, its tests pass, and without any rule of it one would fail.

    But it may lack another recipe of this page, which the warning names.
    """
    file = tmp_path / "taskbell.yaml"
    file.write_text(HEAD + recipe, encoding="utf-8")
    warnings = load(file, SECRETS).warnings
    assert [one for one in warnings if "docs/recipes.md#" not in (one.hint or "")] == []
    found = sketch(file, {})
    assert await failures(found) == []
    for name in re.findall(r"^  - id: (\S+)", recipe, re.MULTILINE):
        assert await failures(found, without=name) != []
