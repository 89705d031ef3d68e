"""Dates as other programs write them: ISO 8601, Unix time, and the dates that stand for none."""

import re
from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from typing import Any

_FIRST_YEAR, _LAST_YEAR = 1971, 9000
# Zero dates of databases, what becomes of them as a year before Christ, and PostgreSQL's infinity.
_ZERO = re.compile(r"[-+]\d|0000-|9999-|[0\W]+$|-?infinity$")
_DIGITS = (10, 13)  # of Unix time in seconds, and in milliseconds
_SECONDS, _MILLISECONDS = 10**9, 10**12  # in 2001; ten times as many are in 2286


def moment(value: Any, zone: tzinfo, *, fold: int = 0, day: time = time.min) -> datetime | None:
    """The date that a value is, in UTC; None where there is none, or one of no known form.

    One without an offset is local time in `zone`: the hour that a clock change skips counts from
    before it, and of the hour that comes twice `fold` picks the first (0) or second (1). One
    without a time is at `day`. A number is Unix time in seconds or milliseconds.
    """
    if isinstance(value, str):
        return _of_text(value, zone, fold, day)
    return None if value is None else _moment(value, zone, fold, day)


# One look at a task reads its dates more than once, and lists repeat them.
@lru_cache(1024)
def _of_text(text: str, zone: tzinfo, fold: int, day: time) -> datetime | None:
    if not text.lstrip()[:1].isdecimal():
        return None  # as every other text; it costs little to find out
    return _moment(text, zone, fold, day)


def _moment(value: Any, zone: tzinfo, fold: int, day: time) -> datetime | None:
    try:
        when = _date(value, zone, fold, day)
        return None if when is None or _stands_for_none(when) else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def day(value: Any) -> date | None:
    """The day that a value is which has no time; None for everything else."""
    if not isinstance(value, str) or not _is_short(value.strip()):
        return None
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        return None


def clock_time(value: Any) -> datetime | None:
    """A date and time as they are written, in whatever zone; None for everything else."""
    try:
        return datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except ValueError:
        return None


def is_date(value: Any) -> bool:
    """Whether `moment` knows the form of this value, which may also stand for no date."""
    if isinstance(value, str) and _of_text(value, UTC, 0, time.min) is not None:
        return True
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
    if not isinstance(written, str) or (len(written) in _DIGITS and written.isdecimal()):
        return _unix_time(written)
    try:
        return _local(written, zone, fold, day)
    except ValueError:
        if _ZERO.match(written):
            return None
        raise


def _is_short(text: str) -> bool:
    """Whether it is too short to have a time, as ISO 8601 writes dates."""
    return len(text) <= len("2026-01-31")


def _local(value: str, zone: tzinfo, fold: int, day: time) -> datetime:
    when = datetime.fromisoformat(value)
    if _is_short(value):
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
