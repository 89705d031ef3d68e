"""Reads single values out of a foreign system's JSON: each function returns None if missing."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any

from service.errors import PayloadError

LONGEST_ID = 200
# Characters of a title or a name, and of a description. A message can be made of some of these.
LONGEST_LINE, LONGEST_PROSE = 1_000, 30_000
MOST_MEMBERS = 1_000  # of a list that a task has
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_MOST = 2**31 - 1
_UUID_LENGTH = 36
_UUID = re.compile(r"[\dA-F]{8}(-[\dA-F]{4}){3}-[\dA-F]{12}", re.ASCII | re.IGNORECASE)


def identifier(value: Any) -> str | None:
    """An id as text; None if the value cannot be one.

    An id is a printable text of 1 to 200 characters, not of dots only (it becomes part of a path),
    or a whole number of 64 bits, even if it was written as 5.0. A UUID may be in capitals.
    """
    if isinstance(value, str):
        return _textual(value) if 0 < len(value) <= LONGEST_ID else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and _SMALLEST <= value <= _LARGEST:
        return str(value)
    return None


def _textual(value: str) -> str | None:
    if len(value) == _UUID_LENGTH and (small := value.lower()) != value and _UUID.fullmatch(value):
        return small
    return value if value.isprintable() and value.strip(". ") else None


def text(value: Any, longest: int = LONGEST_LINE) -> str | None:
    """A text that is not empty, without the NUL characters that PostgreSQL cannot store.

    A longer text is truncated, and its end shows that.
    """
    if not isinstance(value, str) or not value:
        return None
    if "\0" in value:
        value = value.replace("\0", "")
    return value if len(value) <= longest else f"{value[: longest - 1]}…"


def prose(value: Any) -> str | None:
    """The same for texts that may be as long as a page, such as a description."""
    return text(value, LONGEST_PROSE)


def tally(value: Any) -> int | None:
    """A count, from 0 to the maximum of a 32-bit column."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _MOST else None


def required(value: str | None, name: str) -> str:
    """The value of a field that every task has; raises PayloadError if it is missing."""
    if value is None:
        raise PayloadError(f"{name} is missing or cannot be used")
    return value


def sequence(value: Any) -> list[Any] | None:
    """A list, also one that PHP wrote as an object because its numbers have gaps; else None."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or not value or not next(iter(value)).isdecimal():
        return None
    if all(key.isdecimal() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return None


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, or an empty one in place of any other value."""
    return value if isinstance(value, dict) else {}


def reference(value: Any, key: str = "id") -> Mapping[str, Any]:
    """A person or thing as an object, even if only the id is given."""
    if isinstance(value, dict):
        return value
    number = identifier(value)
    return {} if number is None else {key: number}


def members(value: Any) -> list[Any]:
    """The first members of a list as `sequence` accepts it; none for any other value."""
    return (sequence(value) or [])[:MOST_MEMBERS]


def references(value: Any, key: str = "id") -> list[Mapping[str, Any]]:
    """The members of a list as objects, even if one has no list around it, or only its id."""
    if not value:
        return []
    if isinstance(value, dict) and key in value:
        return [value]
    many = sequence(value)
    if many is None:
        return [reference(value, key)]
    return [reference(one, key) for one in many[:MOST_MEMBERS]]


def first_reference(value: Any) -> Mapping[str, Any]:
    """The first of `references`; an empty object if there is none."""
    return next(iter(references(value)), {})


def first_id(raw: Mapping[str, Any], *names: str) -> str | None:
    """The first of these fields that has an id."""
    for name in names:
        value = raw.get(name)
        if value is not None and (found := identifier(value)) is not None:
            return found
    return None


def labels(value: Any) -> list[str] | None:
    """The names of tags or groups, in alphabetical order; None if the value has none.

    They are objects with a `name`, or names alone; null stands for no tags.
    """
    many = sequence([] if value is None else value)
    if many is None:
        return None
    found = [text(one.get("name") if isinstance(one, dict) else one) for one in many[:MOST_MEMBERS]]
    return None if None in found else sorted({name for name in found if name})


def scalar(value: Any) -> str | int | float | bool | None:
    """A text, number or boolean; None in place of any other value."""
    if isinstance(value, int | float):
        return value
    return prose(value)


def several(value: Any) -> str | int | float | bool | list[Any] | None:
    """A scalar, or a list of them, as for a field with a multiple choice."""
    many = sequence(value) if isinstance(value, list | dict) else None
    if many is None:
        return scalar(value)
    return [found for one in many[:MOST_MEMBERS] if (found := scalar(one)) is not None]


def flattened(value: Mapping[str, Any], levels: int = 8) -> dict[str, Any]:
    """The values inside an object, each under one name: `{"a": {"b": 1}}` is `{"a_b": 1}`.

    These are scalars and lists of them; values nested more deeply than the limit, and values above
    the maximum number, are left out.
    """
    found: dict[str, Any] = {}
    for name, one in value.items():
        if len(found) >= MOST_MEMBERS:
            break
        if isinstance(one, dict) and sequence(one) is None:
            inside = flattened(one, levels - 1) if levels else {}
            found |= {f"{name}_{inner}": each for inner, each in inside.items()}
        elif (kept := several(one)) not in (None, []):
            found[name] = kept
    return found


def local(value: Any, zone: tzinfo) -> datetime:
    """A time to be written, a datetime or its RFC 3339 text, as local time in `zone`."""
    when = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return when.astimezone(zone)


def described(one: Mapping[str, Any], names: Iterable[str | None]) -> dict[str, Any]:
    """The fields with these names, or a mark if there are none: then nobody can be recognised."""
    return only(one, names) or {"unread": True}


def only(raw: Mapping[str, Any], names: Iterable[str | None]) -> dict[str, Any]:
    """The fields of an object with these names, if they exist."""
    return {name: raw[name] for name in names if name is not None and name in raw}
