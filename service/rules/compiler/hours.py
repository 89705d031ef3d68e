"""The named opening hours of the configuration."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from service.diagnostics import Issue, Severity
from service.document.messages import must_be
from service.rules.compiler.defaults import NONE
from service.rules.hours import Hours, read_hours

_HOLIDAY = re.compile(r"\bPH\b")
_ANY_TIME = "24/7"


def compile_hours(
    texts: Mapping[str, Any], country: str | None, closed: tuple[str, ...] = ()
) -> tuple[dict[str, Hours], list[Issue]]:
    """The named opening hours, and their problems.

    Invalid ones are replaced by "always open", so that the rules can be checked all the same.
    `country` is the country of the public holidays, `closed` are the firm's own closing days.
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
            hours[name] = read_hours(name, text, country, closed)
        except PydanticCustomError as error:
            said = error.context or {}
            problems.append(Issue(("hours", name), said["message"], said["hint"], said["offset"]))
    return hours, problems


def unknown_holidays(texts: Mapping[str, Any]) -> Iterable[Issue]:
    """Warnings about opening hours with public holidays (PH), for when there is no country."""
    message = "PH has no effect, because no country is set for public holidays"
    hint = "add holidays: { country: US }"
    for name, text in texts.items():
        if _HOLIDAY.search(str(text)):
            yield Issue(("hours", name), message, hint, severity=Severity.WARNING)
