"""What may be meant and seldom is: warnings about rules that are sound."""

from collections.abc import Iterable, Mapping
from typing import Any

from service.faults import Path, Problem, Severity
from service.rules.rule import Rule
from service.rules.steps import Action


def advice(rule: Rule, written: Mapping[str, Any], path: Path) -> Iterable[Problem]:
    """Warnings about one rule, as it is written in the file."""
    for step in rule.planning.steps:
        if not isinstance(step, Action) or not step.reaches_customer:
            continue
        place = (*path, "then", step.number - 1, "notify")
        if written.get("hours") is None:
            yield _warning(place, "customers may get this at night", "give the rule hours:")
        if not written.get("once_per"):
            yield _warning(place, "customers may get this more than once", "give it once_per:")


def _warning(path: Path, message: str, hint: str) -> Problem:
    return Problem(path, message, hint, severity=Severity.WARNING)
