"""Reading single values out of a foreign system's JSON: each returns None for "not there"."""

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
    """An id as text; None for what cannot be one.

    An id is a printable text of 1 to 200 characters, not of dots only (it becomes part of a
    path), or a whole number of 64 bits, also if it was written as 5.0. A UUID is the same in
    capitals.
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
    """A text that is not empty, without the NUL characters that PostgreSQL cannot hold.

    What is longer is cut, which its end shows.
    """
    if not isinstance(value, str) or not value:
        return None
    if "\0" in value:
        value = value.replace("\0", "")
    return value if len(value) <= longest else f"{value[: longest - 1]}…"


def prose(value: Any) -> str | None:
    """The same of what may be as long as a page, such as a description."""
    return text(value, LONGEST_PROSE)


def tally(value: Any) -> int | None:
    """How many there are, from 0 to what a column of 32 bits holds."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _MOST else None


def required(value: str | None, name: str) -> str:
    """The value of a field that every task has; raises PayloadError if it is not there."""
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
    """An object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def reference(value: Any, key: str = "id") -> Mapping[str, Any]:
    """Somebody or something as an object, also where only the id is given."""
    if isinstance(value, dict):
        return value
    number = identifier(value)
    return {} if number is None else {key: number}


def members(value: Any) -> list[Any]:
    """The first members of what `sequence` takes for a list; none of anything else."""
    return (sequence(value) or [])[:MOST_MEMBERS]


def references(value: Any, key: str = "id") -> list[Mapping[str, Any]]:
    """Those of a list as objects, also where one stands alone or only its id is given."""
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
    """The first of these fields that holds an id."""
    for name in names:
        value = raw.get(name)
        if value is not None and (found := identifier(value)) is not None:
            return found
    return None


def scalar(value: Any) -> str | int | float | bool | None:
    """A text, number or truth value; None in place of anything else."""
    if isinstance(value, int | float):
        return value
    return prose(value)


def several(value: Any) -> str | int | float | bool | list[Any] | None:
    """A scalar, or a list of them, as of a field of which several may be chosen."""
    many = sequence(value) if isinstance(value, list | dict) else None
    if many is None:
        return scalar(value)
    return [found for one in many[:MOST_MEMBERS] if (found := scalar(one)) is not None]


def flattened(value: Mapping[str, Any], levels: int = 8) -> dict[str, Any]:
    """What an object holds inside, by one name each: `{"a": {"b": 1}}` is `{"a_b": 1}`.

    That is scalars and lists of them; what nests deeper than so many levels is left out, and so is
    what is one too many.
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
    """A moment to be written, a datetime or its RFC 3339 text, as local time in `zone`."""
    when = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return when.astimezone(zone)


def only(raw: Mapping[str, Any], names: Iterable[str | None]) -> dict[str, Any]:
    """Of an object the fields of these names, as far as they are there."""
    return {name: raw[name] for name in names if name is not None and name in raw}
