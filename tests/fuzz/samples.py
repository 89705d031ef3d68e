"""Good documents, conditions and texts, out of which bad ones are made."""

from pathlib import Path

from ruamel.yaml import YAML

from tests.harness.faulty_files import cases
from tests.harness.rule_files import HEAD

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


def _blocks() -> list[str]:
    """The YAML on the page of recipes: what stands above all, then each recipe."""
    parts = PAGE.read_text("utf-8").split("```yaml\n")[1:]
    return [part.partition("```")[0] for part in parts]


def _strings(value: object, name: str) -> list[str]:
    """All texts that have this name in a document, at whatever depth."""
    if isinstance(value, list):
        return [found for one in value for found in _strings(one, name)]
    if not isinstance(value, dict):
        return []
    here = [str(value[name])] if isinstance(value.get(name), str) else []
    return here + [found for one in value.values() for found in _strings(one, name)]


_HEAD, *_RECIPES = _blocks()
_PARSED = [YAML(typ="safe", pure=True).load(text) for text in _RECIPES]

DOCUMENTS = [
    *(f"{_HEAD}{recipe}" for recipe in _RECIPES),
    *(case.text for case in cases()),
    f"{HEAD}rules: []\n",
]
CONDITIONS = _strings(_PARSED, "if")
TEXTS = _strings(_PARSED, "text")
