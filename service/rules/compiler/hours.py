"""The named opening hours of the configuration."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from service.diagnostics import Issue, Severity
from service.document.messages import must_be
from service.domain.opening_hours import HOLIDAY, Hours, closed_most_of_the_year, read_hours
from service.rules.compiler.defaults import NONE

_ANY_TIME = "24/7"


def compile_hours(
    texts: Mapping[str, Any],
    country: str | None,
    closed: tuple[str, ...] = (),
    subdivision: str | None = None,
) -> tuple[dict[str, Hours], list[Issue]]:
    """The named opening hours, and their problems.

    Invalid ones are replaced by "always open", so that the rules can be checked all the same.
    `country` and `subdivision` are those of the public holidays, `closed` the firm's own days off.
    """
    hours = {name: Hours(name, _ANY_TIME) for name in texts}
    problems: list[Issue] = []
    for name, text in texts.items():
        if name == NONE:
            message = f"{NONE} cannot be the name of opening hours: in a rule, it means no hours"
            problems.append(Issue(("hours", name), message, at_key=True))
        if not isinstance(text, str):
            problems.append(Issue(("hours", name), must_be(name, "text", text)))
            continue
        try:
            hours[name] = read_hours(name, text, country, closed, subdivision)
        except PydanticCustomError as error:
            said = error.context or {}
            problems.append(Issue(("hours", name), said["message"], said["hint"], said["offset"]))
    return hours, problems


def unknown_holidays(texts: Mapping[str, Any]) -> Iterable[Issue]:
    """Warnings about opening hours with public holidays (PH), for when there is no country."""
    message = "PH has no effect, because no country is set for public holidays"
    hint = "add holidays: { country: US }"
    for name, text in texts.items():
        if HOLIDAY.search(str(text)):
            yield Issue(("hours", name), message, hint, severity=Severity.WARNING)


def long_closings(written: Any) -> Iterable[Issue]:
    """Warnings about closing days of every year that are probably the wrong way round."""
    closed = written.get("closed") if isinstance(written, dict) else None
    for position, days in enumerate(closed if isinstance(closed, list) else ()):
        left = closed_most_of_the_year(days)
        if left is not None:
            first, _, last = str(days).partition(" to ")
            message = f"this closes every year for all but {left} day{'' if left == 1 else 's'}"
            hint = f"if you mean the days between, write {last.strip()} to {first.strip()}"
            path = ("holidays", "closed", position)
            yield Issue(path, message, hint, severity=Severity.WARNING)
