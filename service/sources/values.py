"""Reading single values out of a foreign system's JSON: each returns None for "not there"."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, tzinfo
from typing import Any

from service.errors import PayloadError

LONGEST_ID = 200
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_MOST = 2**31 - 1


def identifier(value: Any) -> str | None:
    """An id as text; None for what cannot be one.

    An id is a printable text of 1 to 200 characters, not of dots only (it becomes part of a
    path), or a whole number of 64 bits.
    """
    if isinstance(value, str):
        usable = 0 < len(value) <= LONGEST_ID and value.isprintable() and value.strip(". ")
        return value if usable else None
    if isinstance(value, int) and not isinstance(value, bool) and _SMALLEST <= value <= _LARGEST:
        return str(value)
    return None


def text(value: Any) -> str | None:
    """A text that is not empty, without the NUL characters that PostgreSQL cannot hold."""
    if not isinstance(value, str) or not value:
        return None
    return value.replace("\0", "") if "\0" in value else value


def tally(value: Any) -> int | None:
    """How many there are, from 0 to what a column of 32 bits holds."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _MOST else None


def required(value: str | None, name: str) -> str:
    """The value of a field that every task has; raises PayloadError if it is not there."""
    if value is None:
        raise PayloadError(f"{name} is missing or cannot be used")
    return value


def moment(
    raw: Mapping[str, Any], name: str, zone: tzinfo, *, fold: int = 0, day: time = time.min
) -> datetime | None:
    """The date in `raw[name]`, in UTC; raises PayloadError if it is a text but not a date.

    One without an offset is local time in `zone`: the hour that a clock change skips counts from
    before it, and of the hour that comes twice `fold` picks the first (0) or second (1). One
    without a time is at `day`.
    """
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        return None
    try:
        when = datetime.fromisoformat(value)
        if len(value) == len("2026-01-31"):
            when = datetime.combine(when, day)
        if when.tzinfo is None:
            when = when.replace(tzinfo=zone, fold=fold)
        return when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PayloadError(f"{name} is {value[:40]!r}, which is not a date") from None


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def reference(value: Any, key: str = "id") -> Mapping[str, Any]:
    """Somebody or something as an object, also where only the id is given."""
    number = identifier(value)
    return mapping(value) if number is None else {key: number}


def members(value: Any) -> list[Any]:
    """The members of a list, which PHP writes as an object once its numbers have a gap."""
    if isinstance(value, dict) and all(name.isdecimal() for name in value):
        return list(value.values())
    return value if isinstance(value, list) else []


def scalar(value: Any) -> str | int | float | bool | None:
    """A text, number or truth value; None in place of anything else."""
    if isinstance(value, int | float):
        return value
    return text(value)


def several(value: Any) -> str | int | float | bool | list[Any] | None:
    """A scalar, or a list of them, as of a field of which several may be chosen."""
    if not isinstance(value, list):
        return scalar(value)
    return [found for one in value if (found := scalar(one)) is not None]


def truth(value: Any) -> bool:
    """A flag, which some databases hand on as a number or its text."""
    return value in (True, "1", "true")


def local(value: Any, zone: tzinfo) -> datetime:
    """A moment to be written, a datetime or its RFC 3339 text, as local time in `zone`."""
    when = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return when.astimezone(zone)


def only(raw: Mapping[str, Any], names: Iterable[str | None]) -> dict[str, Any]:
    """Of an object the fields of these names, as far as they are there."""
    return {name: raw[name] for name in names if name is not None and name in raw}
