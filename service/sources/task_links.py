"""Links to tasks in their system's web application, by a pattern such as `…/jobs/{id}`."""

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, urlsplit

from service.diagnostics import did_you_mean, refused
from service.domain.model import Task
from service.sources.values import identifier

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def link(pattern: str, task: Task) -> str | None:
    """The address of a task's page; None if the task lacks a field that the pattern names."""
    values = {name: identifier(_value(task, name)) for name in fields_of(pattern)}
    if None in values.values():
        return None
    return _PLACEHOLDER.sub(lambda found: quote(values[found[1]] or "", safe=""), pattern)


def fields_of(pattern: str) -> frozenset[str]:
    """The fields of a task that a pattern names, such as `id` and `project.id`."""
    return frozenset(_PLACEHOLDER.findall(pattern))


def is_open(pattern: str, untold: Collection[str]) -> bool:
    """Whether a field of the pattern, or the object around it, is among these fields."""
    named = fields_of(pattern)
    return not named.union(name.partition(".")[0] for name in named).isdisjoint(untold)


def check(pattern: str, known: Collection[str]) -> None:
    """Raise ValueError unless it is a web address with fields of `known`, none in its host."""
    named, rest = fields_of(pattern), _PLACEHOLDER.sub("", pattern)
    parts = urlsplit(rest)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not rest.isprintable():
        raise ValueError("must be an address that begins with https:// or http://")
    if "@" in parts.netloc or " " in rest:
        raise ValueError("must be an address without user, password and spaces")
    if urlsplit(pattern).netloc != parts.netloc:
        raise ValueError("must have its {…} after the host")
    if unknown := sorted(named.difference(known)):
        raise refused(f"{{{unknown[0]}}} cannot be used here", did_you_mean(unknown[0], known))
    if not named or "{" in rest or "}" in rest:
        raise ValueError(f"must name the task, by {' or '.join(f'{{{name}}}' for name in known)}")


def _value(task: Task, name: str) -> Any:
    noun, _, inner = name.partition(".")
    value = getattr(task, noun)
    if not inner or value is None:
        return value
    return value.get(inner) if isinstance(value, dict) else getattr(value, inner)
