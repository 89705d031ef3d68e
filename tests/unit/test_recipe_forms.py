"""The recipes of the rule editor: each makes a rule that `taskbell check` accepts."""

import re
from pathlib import Path
from typing import Any

import pytest

from service.config import Config, load
from service.document.reading import Document
from service.document.yaml_append import appended
from service.web.presenters.rule_recipes import Recipe, offered, recipes, written
from tests.unit.test_recipes import HEAD, RECIPES, SECRETS

# What a recipe leaves to the person, as not every firm has it.
_LEFT_OUT = {"accounts", "if", "hours"}
HOSTILE = '#x" }, { notify: email: a # \\ \u2028 ${HOME} {{ 7*7 }} $channel'


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return made(tmp_path, HEAD)


def made(folder: Path, text: str) -> Config:
    (folder / "taskbell.yaml").write_text(text, encoding="utf-8")
    return load(folder / "taskbell.yaml", SECRETS)


def defaults(recipe: Recipe, config: Config, **more: str) -> dict[str, str]:
    [fields] = [fields for one, fields in offered(config) if one.name == recipe.name]
    return {one.name: one.value for one in fields} | more


def rule_in(text: str) -> dict[str, Any]:
    [rule] = Document([("rule", f"rules:\n{text}")]).data["rules"]
    return dict(rule)


def of_docs(name: str) -> dict[str, Any]:
    for text in RECIPES:
        for rule in Document([("docs", text)]).data["rules"]:
            if rule["id"] == name:
                return dict(rule)
    raise AssertionError(f"docs/recipes.md has no rule {name}")


def test_there_are_enough() -> None:
    """At least six."""
    assert len(recipes()) >= 6


@pytest.mark.parametrize("name", recipes())
def test_each_is_sound_as_it_is_offered(name: str, config: Config, tmp_path: Path) -> None:
    """With its defaults, and with hours and an account, it loads without an error.

    For all accounts there may be the warning that one of them does not have what it needs.
    """
    recipe = recipes()[name]
    for more in ({}, {"account": "field", "hours": "office", "wait": "2 hours", "time": "6:05"}):
        said = defaults(recipe, config, **more)
        text = appended(HEAD, "rules", written(recipe, said, config, ()))
        assert text is not None
        found = made(tmp_path, text)
        hints = {one.hint or "" for one in found.warnings}
        assert not more or not hints
        assert all(one.startswith("limit the rule to some accounts") for one in hints)
        assert list(found.rules.ids) == [name]


@pytest.mark.parametrize("name", recipes())
def test_each_is_a_rule_of_the_documentation(name: str, config: Config) -> None:
    """It says the same, apart from what a person may leave out."""
    recipe = recipes()[name]
    ours = rule_in(written(recipe, defaults(recipe, config), config, ()))
    theirs = of_docs(name)
    [step], [documented, *_] = ours.pop("then"), theirs.pop("then")
    assert step == {key: documented[key] for key in step}
    assert theirs.keys() - ours.keys() <= _LEFT_OUT
    assert {key: ours[key] for key in ours.keys() - _LEFT_OUT} == {
        key: theirs[key] for key in theirs.keys() - _LEFT_OUT
    }


@pytest.mark.parametrize("name", recipes())
def test_hostile_fields_stay_in_their_place(name: str, config: Config) -> None:
    """Whatever is written in a field is one text of the rule, and nothing else."""
    recipe = recipes()[name]
    if "target" in recipe.fields:
        said = defaults(recipe, config, target=HOSTILE)
        [step] = rule_in(written(recipe, said, config, ()))["then"]
        assert step["notify"] == f"slack:{HOSTILE}"
    for field in ("channel", "account", "hours"):
        if field in recipe.asked:
            with pytest.raises(ValueError, match="choose one of the list"):
                written(recipe, defaults(recipe, config, **{field: HOSTILE}), config, ())


def test_an_id_that_is_taken_gets_a_number(config: Config) -> None:
    """The first that is free."""
    recipe = recipes()["finished"]
    text = written(recipe, defaults(recipe, config), config, {"finished", "finished-2"})
    assert rule_in(text)["id"] == "finished-3"


def test_without_a_channel_for_it_a_recipe_is_not_offered(tmp_path: Path) -> None:
    """A mail to each person needs a channel for mail."""
    text = re.sub(r"  email: .*\n", "", HEAD)
    assert "my-day" not in {recipe.name for recipe, _ in offered(made(tmp_path, text))}
