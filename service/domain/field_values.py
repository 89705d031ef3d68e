"""A value of a task's field in plain words."""

from collections.abc import Mapping
from typing import Any

from service.domain.model import Customer, Person, Project

NOTHING = "nothing"


def said_value(value: Any) -> str:
    """A value in words; `nothing` if it is empty."""
    match value:
        case None | "" | ():
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case Person() | Customer() | Project():
            return value.name or value.id or NOTHING
        case list() | tuple():
            return ", ".join(map(said_value, value)) or NOTHING
        case Mapping():
            return ", ".join(f"{name}: {said_value(one)}" for name, one in value.items()) or NOTHING
    return str(value)
