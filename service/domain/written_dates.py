"""Dates as other programs write them: ISO 8601, Unix time, and placeholders for no date."""

import re
from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple

_FIRST_YEAR, _LAST_YEAR = 1971, 9000
_LONGEST = 64  # characters; whatever is longer is no date
# Zero dates of databases, what becomes of them as a year before Christ, and PostgreSQL's infinity.
_ZERO = re.compile(r"[-+]\d|0000-|9999-|[0\W]+$|-?infinity$")
_DIGITS = (10, 13)  # of Unix time in seconds, and in milliseconds
_SECONDS, _MILLISECONDS = 10**9, 10**12  # in 2001; ten times as many are in 2286


class Written(NamedTuple):
    """A date as it is written, with or without an offset; `at` is None if it is a placeholder."""

    at: datetime | None
    is_day: bool = False


_NONE = Written(None)


def moment(value: Any, zone: tzinfo, *, fold: int = 0, day: time = time.min) -> datetime | None:
    """The date of a value, in UTC; None if it is no date, or has an unknown form.

    One without an offset is local time in `zone`: a time in an hour that a clock change skips
    counts from before the change, and in the repeated hour `fold` selects the first (0) or second
    (1). One without a time is at `day`. A number is Unix time in seconds or milliseconds.
    """
    if not isinstance(value, str):
        return _moment(value, zone, fold, day) if value else None
    return _of_this_text(value, zone, fold, day) if len(value) <= _LONGEST else None


# Dates are parsed more than once for each observation, and lists repeat them.
@lru_cache(4096)
def _of_this_text(value: str, zone: tzinfo, fold: int, day: time) -> datetime | None:
    return _moment(value, zone, fold, day)


def _moment(value: Any, zone: tzinfo, fold: int, day: time) -> datetime | None:
    written = read(value)
    if written is None or written.at is None:
        return None
    at = datetime.combine(written.at, day) if written.is_day else written.at
    return _in_utc(at, zone, fold)


def day(value: Any) -> date | None:
    """The day of a value without a time; None for all other values."""
    written = read(value)
    return written.at.date() if written is not None and written.at and written.is_day else None


def clock_time(value: Any) -> datetime | None:
    """A date and time as they are written, in whatever zone; None for all other values."""
    written = read(value) if isinstance(value, str) else None
    return None if written is None else written.at


def is_date(value: Any) -> bool:
    """Whether `moment` knows the form of this value, which may also be a placeholder."""
    if isinstance(value, str):
        return len(value) <= _LONGEST and _of_text(value) is not None
    return not value or _of_number(value) is not None


def read(value: Any) -> Written | None:
    """A value as a date; None for an unknown form."""
    if isinstance(value, str):
        return _of_text(value) if len(value) <= _LONGEST else None
    return _of_number(value) if value else _NONE


@lru_cache(4096)
def _of_text(value: str) -> Written | None:
    text = value.strip()
    if len(text) in _DIGITS and text.isdecimal():
        return _of_number(text)
    try:
        return Written(datetime.fromisoformat(text), _is_short(text)) if text else _NONE
    except ValueError:
        return _NONE if _ZERO.match(text) else None


def _of_number(value: Any) -> Written | None:
    # A zero date, such as 0001-01-01 or 1899-12-30, in seconds or milliseconds.
    if isinstance(value, int | float) and value < -_SECONDS:
        return _NONE
    try:
        return Written(_unix_time(value))
    except (ValueError, OverflowError):
        return None


def _is_short(text: str) -> bool:
    """Whether it is too short to have a time, as ISO 8601 writes dates."""
    return len(text) <= len("2026-01-31")


def _unix_time(value: Any) -> datetime:
    seconds = 0.0 if isinstance(value, bool | list | dict) else float(value)
    if seconds >= _MILLISECONDS:
        seconds /= 1000
    if not _SECONDS <= seconds < _SECONDS * 10:
        raise ValueError("no number of seconds or milliseconds since 1970")
    return datetime.fromtimestamp(seconds, UTC)


def _in_utc(at: datetime, zone: tzinfo, fold: int) -> datetime | None:
    local = at.replace(tzinfo=zone, fold=fold) if at.tzinfo is None else at
    try:
        return None if _stands_for_none(local) else local.astimezone(UTC)
    except OverflowError:
        return None


def _stands_for_none(when: datetime) -> bool:
    """Whether a date is the first or the last that a program supports, as a placeholder for none.

    These are 0001-01-01, 1970-01-01 and 9999-12-31 and their neighbours in other zones. PostgreSQL
    treats the last as infinity.
    """
    return not _FIRST_YEAR <= when.year < _LAST_YEAR
