"""`defaults`: what rules have that do not say otherwise, written into each of them.

Everything behind it, such as the compiler, the stored text of the rules or their sentences, sees
only rules that say all of it themselves.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from service.diagnostics import Issue, Path, Severity
from service.document.validation import Shape
from service.domain.durations import Length
from service.rules.compiler.shapes import some_time

NONE = "none"
_PART = "defaults"
_OF_RULE = ("hours", "expires")
_OF_STEP = "on_fail"
_STEPS = ("then", "escalate")
_Places = dict[Path, Path]


class DefaultsShape(Shape):
    """What every rule has, unless the rule sets the same key."""

    hours: Any = None
    expires: Annotated[Length, AfterValidator(some_time)] | None = None
    on_fail: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None


@dataclass(slots=True)
class RuleDefaults:
    """The valid values under `defaults`, as written, and the places in rules that have them.

    `_names` has the id of each rule by its position; `_inherited` maps, for each, places inside the
    rule to those in `defaults`.
    """

    values: Mapping[str, Any]
    _names: dict[int, str] = field(default_factory=dict)
    _inherited: dict[int, _Places] = field(default_factory=lambda: defaultdict(dict))

    def filled(self, raws: Iterable[Any]) -> list[Any]:
        """The rules with these values where they have none; `none` is left out of all of them."""
        return [self._rule(raw, position) for position, raw in enumerate(raws)]

    def _rule(self, raw: Any, position: int) -> Any:
        if not isinstance(raw, dict):
            return raw
        self._names[position] = str(raw.get("id"))
        places = self._inherited[position]
        rule = self._with(raw, _OF_RULE, (), places)
        for part in _STEPS:
            if isinstance(steps := rule.get(part), list):
                rule[part] = [self._step(one, (part, i), places) for i, one in enumerate(steps)]
        return rule

    def _step(self, raw: Any, path: Path, places: _Places) -> Any:
        if not isinstance(raw, dict) or "notify" not in raw:
            return raw
        return self._with(raw, (_OF_STEP,), path, places)

    def _with(
        self, raw: Mapping[str, Any], keys: Sequence[str], path: Path, places: _Places
    ) -> dict[str, Any]:
        kept = {key: one for key, one in raw.items() if key not in keys or one != NONE}
        for key in keys:
            if key in self.values and key not in raw:
                kept[key] = self.values[key]
                places[(*path, key)] = (_PART, key)
        return kept

    def placed(self, issues: Iterable[Issue]) -> Iterator[Issue]:
        """The issues, those about an inherited value at its place in `defaults`, and only once.

        An issue that not all rules have which inherit the value names them.
        """
        moved: dict[Issue, list[int]] = defaultdict(list)
        for issue in issues:
            found = self._origin(issue.path)
            if found is None:
                yield issue
            else:
                rule, path = found
                moved[replace(issue, path=path)].append(rule)
        for issue, rules in moved.items():
            users = self._users(issue.path[:2])
            some = sorted(set(rules))
            yield issue if len(some) == len(users) else self._naming(issue, some)

    def unused(self) -> Iterator[Issue]:
        """Warnings about values that no rule inherits."""
        for key in self.values:
            if self._inherited and not self._users((_PART, key)):
                message = f"no rule uses this default: each has its own {key}, or none"
                yield Issue((_PART, key), message, at_key=True, severity=Severity.WARNING)

    def _users(self, path: Path) -> set[int]:
        """The positions of the rules that inherit a value."""
        return {rule for rule, places in self._inherited.items() if path in places.values()}

    def _origin(self, path: Path) -> tuple[int, Path] | None:
        """The position of the rule, and the place in `defaults`, of an inherited value."""
        if path[:1] != ("rules",) or len(path) == 1:
            return None
        rule, inner = int(path[1]), path[2:]
        for place, origin in self._inherited.get(rule, {}).items():
            if inner[: len(place)] == place:
                return rule, (*origin, *inner[len(place) :])
        return None

    def _naming(self, issue: Issue, rules: Iterable[int]) -> Issue:
        message = f"in {', '.join(self._names[one] for one in rules)}: {issue.message}"
        hint = f"change it here, or write {issue.path[1]}: {NONE} in these rules"
        return replace(issue, message=message, hint=hint)
