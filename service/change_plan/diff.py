"""The difference between two versions of the rules, as lines of YAML."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from io import StringIO
from typing import Any

import orjson
from ruamel.yaml import YAML

from service.change_plan import Change, RulePlan

_SETTINGS = ("timezone", "hours", "holidays", "contacts", "lists")


def compare_rules(running: str, planned: str) -> list[RulePlan]:
    """Compare two rule texts (JSON): the rules of `planned` in its order, then removed ones."""
    old, new = _rules(running), _rules(planned)
    names = [*new, *(name for name in old if name not in new)]
    return [_compared(name, old.get(name), new.get(name)) for name in names]


def compare_settings(running: str, planned: str) -> Sequence[str]:
    """The difference in what all rules share, such as the time zone, as lines of YAML."""
    old, new = orjson.loads(running or "{}"), orjson.loads(planned or "{}")
    return tuple(_difference(_shared(old), _shared(new)))


def _rules(text: str) -> dict[str, Mapping[str, Any]]:
    return {one["id"]: one for one in orjson.loads(text or "{}").get("rules", [])}


def _shared(whole: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: whole[name] for name in _SETTINGS if name in whole}


def _compared(name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> RulePlan:
    if old is None:
        return RulePlan(name, Change.ADDED)
    if new is None:
        return RulePlan(name, Change.REMOVED)
    if old == new:
        return RulePlan(name, Change.SAME)
    return RulePlan(name, Change.CHANGED, tuple(_difference(old, new)))


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """The lines that differ, each with one line of context; without the headers of a diff."""
    for line in unified_diff(_yaml(old), _yaml(new), n=1, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield line


def _yaml(value: Mapping[str, Any]) -> list[str]:
    text = StringIO()
    if value:
        YAML().dump(value, text)
    return text.getvalue().splitlines()
