"""The `hours` of a rule: one name, or several with conditions that choose one for each task."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.diagnostics import Issue, Path, did_you_mean
from service.document.validation import salvaged
from service.domain.opening_hours import Hours
from service.rules.compiler.shapes import HoursShape, as_use
from service.rules.language.expressions import condition
from service.rules.language.named_lists import NO_LISTS, NamedLists
from service.rules.language.variables import LASTING
from service.rules.timing import RuleHours


@dataclass(slots=True)
class RuleHoursReader:
    """Reads the hours of one rule, and collects their problems.

    - `known`: the opening hours of the configuration
    - `why_not`: why there is no single task that conditions could be about; None if there is one
    - `sure`: the names that surely exist
    - `is_unread`: whether the opening hours of the configuration could not be read
    - `lists`: those that conditions may name
    """

    known: Mapping[str, Hours]
    why_not: str | None
    sure: frozenset[str]
    is_unread: bool = False
    lists: NamedLists = NO_LISTS
    problems: list[Issue] = field(default_factory=list)

    def read(self, raw: Any, path: Path) -> tuple[RuleHours, ...]:
        """The choices, in their order; those that cannot be read are left out."""
        if not isinstance(raw, list):
            return tuple(self._one(raw, path))
        found = [one for i, each in enumerate(raw) for one in self._one(each, (*path, i))]
        if not raw:
            self.problems.append(Issue(path, "hours is empty", "write hours: office"))
        self.problems += _unreachable(raw, path)
        return tuple(found)

    def _one(self, raw: Any, path: Path) -> Iterator[RuleHours]:
        shape, problems = salvaged(HoursShape, as_use(raw), path)
        self.problems += problems
        if shape is None:
            return
        used = self.known.get(shape.use)
        if used is None and not self.is_unread:
            message = f"unknown opening hours: {shape.use}"
            hint = did_you_mean(shape.use, self.known)
            self.problems.append(Issue((*path, "use"), message, hint))
        if shape.condition is None:
            yield RuleHours(used, shape.outside)
            return
        place = (*path, "if")
        if self.why_not is not None:
            message = f"if in hours needs exactly one task, and {self.why_not}"
            self.problems.append(Issue(place, message, "write hours without if", at_key=True))
            return
        chosen, problems = condition(shape.condition, place, self.sure, LASTING, self.lists)
        self.problems += problems
        if chosen is not None:
            yield RuleHours(used, shape.outside, chosen)


def _unreachable(raws: list[Any], path: Path) -> Iterator[Issue]:
    for position, raw in enumerate(raws[:-1]):
        if not (isinstance(raw, dict) and "if" in raw):
            message = "these hours have no if, so those after them are never used"
            yield Issue((*path, position), message, "put them last, or give them an if")
