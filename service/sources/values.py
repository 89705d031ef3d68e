"""Reading single values out of a foreign system's JSON: each returns None for "not there"."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, tzinfo
from typing import Any

from service.errors import PayloadError

LONGEST_ID = 200
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_MOST = 2**31 - 1
_TRUE: tuple[Any, ...] = (True, "1", "true")
_FALSE: tuple[Any, ...] = (False, "0", "false", "", None)
_FIRST_YEAR, _LAST_YEAR = 1971, 9000
# Zero dates of databases, what becomes of them as a year before Christ, and PostgreSQL's infinity.
_ZERO = re.compile(r"[-+]\d|0000-|9999-|[0\W]+$|-?infinity$")
_UNIX_TIME = re.compile(r"\d{10}|\d{13}", re.ASCII)
_SECONDS, _MILLISECONDS = 10**9, 10**12  # in 2001; ten times as many are in 2286
_UUID = re.compile(r"[\dA-F]{8}(-[\dA-F]{4}){3}-[\dA-F]{12}", re.ASCII | re.IGNORECASE)


def identifier(value: Any) -> str | None:
    """An id as text; None for what cannot be one.

    An id is a printable text of 1 to 200 characters, not of dots only (it becomes part of a
    path), or a whole number of 64 bits, also if it was written as 5.0. A UUID is the same in
    capitals.
    """
    if isinstance(value, str):
        usable = 0 < len(value) <= LONGEST_ID and value.isprintable() and value.strip(". ")
        return (value.lower() if _UUID.fullmatch(value) else value) if usable else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
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
    """The date in `raw[name]`, in UTC; None where there is none, or one of no known form.

    One without an offset is local time in `zone`: the hour that a clock change skips counts from
    before it, and of the hour that comes twice `fold` picks the first (0) or second (1). One
    without a time is at `day`. A number is Unix time in seconds or milliseconds.
    """
    try:
        when = _date(raw.get(name), zone, fold, day)
        return None if when is None or _stands_for_none(when) else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_date(value: Any) -> bool:
    """Whether `moment` knows the form of this value, which may also stand for no date."""
    try:
        _date(value, UTC, 0, time.min)
    except ValueError:
        return False
    return True


def _date(value: Any, zone: tzinfo, fold: int, day: time) -> datetime | None:
    """The date that a value is, with a zone; raises ValueError for one of no known form."""
    written = value.strip() if isinstance(value, str) else value
    if not written:
        return None
    if isinstance(written, str) and not _UNIX_TIME.fullmatch(written):
        return None if _ZERO.match(written) else _written(written, zone, fold, day)
    return _unix_time(written)


def _written(value: str, zone: tzinfo, fold: int, day: time) -> datetime:
    when = datetime.fromisoformat(value)
    if len(value) == len("2026-01-31"):
        when = datetime.combine(when, day)
    return when.replace(tzinfo=zone, fold=fold) if when.tzinfo is None else when


def _unix_time(value: Any) -> datetime:
    seconds = 0.0 if isinstance(value, bool | list | dict) else float(value)
    if seconds >= _MILLISECONDS:
        seconds /= 1000
    if not _SECONDS <= seconds < _SECONDS * 10:
        raise ValueError("no number of seconds or milliseconds since 1970")
    return datetime.fromtimestamp(seconds, UTC)


def _stands_for_none(when: datetime) -> bool:
    """Whether a date is the first or the last that some program has, and means that there is none.

    These are 0001-01-01, 1970-01-01 and 9999-12-31 and their neighbours in other zones. PostgreSQL
    takes the last for infinity.
    """
    return not _FIRST_YEAR <= when.year < _LAST_YEAR


def sequence(value: Any) -> list[Any] | None:
    """A list, also one that PHP wrote as an object because its numbers have gaps; else None."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and value and all(key.isdecimal() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return None


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def reference(value: Any, key: str = "id") -> Mapping[str, Any]:
    """Somebody or something as an object, also where only the id is given."""
    number = identifier(value)
    return mapping(value) if number is None else {key: number}


def members(value: Any) -> list[Any]:
    """The members of what `sequence` takes for a list; none of anything else."""
    return sequence(value) or []


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


def flattened(value: Mapping[str, Any], levels: int = 8) -> dict[str, Any]:
    """What an object holds inside, by one name each: `{"a": {"b": 1}}` is `{"a_b": 1}`.

    That is scalars and lists of them; what nests deeper than so many levels is left out.
    """
    found: dict[str, Any] = {}
    for name, one in value.items():
        if isinstance(one, dict):
            inside = flattened(one, levels - 1) if levels else {}
            found |= {f"{name}_{inner}": each for inner, each in inside.items()}
        elif (kept := several(one)) not in (None, []):
            found[name] = kept
    return found


def truth(value: Any) -> bool:
    """A flag, which some databases hand on as a number or its text."""
    return value in _TRUE


def is_flag(value: Any) -> bool:
    """Whether `truth` knows the form of this value; one that is missing is false."""
    return value in _TRUE or value in _FALSE


def local(value: Any, zone: tzinfo) -> datetime:
    """A moment to be written, a datetime or its RFC 3339 text, as local time in `zone`."""
    when = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return when.astimezone(zone)


def only(raw: Mapping[str, Any], names: Iterable[str | None]) -> dict[str, Any]:
    """Of an object the fields of these names, as far as they are there."""
    return {name: raw[name] for name in names if name is not None and name in raw}
