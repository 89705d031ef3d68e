"""The effect of overrides on rules: pure functions.

The overrides in force are part of the text of a ruleset. So its version changes with them, and an
earlier decision can be repeated with the overrides of its time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from service.domain.operators.overrides import Mode, Override

if TYPE_CHECKING:  # a rule takes longer to import than a command that asks for its mode
    from service.rules.rule import Rule

_KEY = "overrides"
_WRITTEN: Mapping[Any, Mode] = {False: Mode.OFF, "shadow": Mode.TRIAL}


@dataclass(frozen=True, slots=True)
class RuleMode:
    """The mode of a rule: by its override, if it has one, or as `written` in the file."""

    rule: str
    written: Mode
    override: Override | None = None

    @property
    def mode(self) -> Mode:
        return self.written if self.override is None else self.override.mode


def modes(text: str, overrides: Mapping[str, Override]) -> dict[str, RuleMode]:
    """The mode of each rule in the text of a ruleset, in the order of the file."""
    written = orjson.loads(text or "{}").get("rules", [])
    return {
        one["id"]: RuleMode(
            one["id"],
            _WRITTEN.get(one.get("enabled", True), Mode.ON),
            overrides.get(one["id"]),
        )
        for one in written
    }


def overrides_in(text: str) -> dict[str, Override]:
    """The overrides in the text of a ruleset, by rule."""
    found = orjson.loads(text or "{}").get(_KEY, {})
    return {name: Override.from_json(raw) for name, raw in found.items()}


def with_overrides(text: str, overrides: Mapping[str, Override]) -> str:
    """The text of a ruleset with these overrides instead of its own."""
    parts = orjson.loads(text or "{}")
    parts.pop(_KEY, None)
    if overrides:
        parts[_KEY] = dict(sorted(overrides.items()))
    return orjson.dumps(parts, option=orjson.OPT_INDENT_2).decode()


def by_override(rules: Iterable["Rule"], overrides: Mapping[str, Override]) -> list["Rule"]:
    """The rules, each on or on trial if an override says so."""
    return [
        one
        if (override := overrides.get(one.id)) is None
        else replace(
            one,
            override=override,
            planning=replace(one.planning, shadow=override.mode is Mode.TRIAL),
        )
        for one in rules
    ]
