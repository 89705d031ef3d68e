"""What may be meant and seldom is: warnings about rules that are sound."""

from collections.abc import Iterable

from service.faults import Path, Problem, Severity
from service.rules.rule import Rule
from service.rules.steps import Action


def advice(rule: Rule, path: Path) -> Iterable[Problem]:
    """Warnings about one rule."""
    timing, once_per = rule.planning.timing, rule.planning.once_per
    for step in rule.planning.steps:
        if not isinstance(step, Action) or not step.reaches_customer:
            continue
        place = (*path, "then", step.number - 1, "notify")
        if timing.hours is None:
            yield _warning(place, "customers may get this at night", "give the rule hours:")
        if not once_per:
            yield _warning(place, "customers may get this more than once", "give it once_per:")


def _warning(path: Path, message: str, hint: str) -> Problem:
    return Problem(path, message, hint, severity=Severity.WARNING)
