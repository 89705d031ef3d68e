"""Durations as people write them: `60s`, `2m`, `1 day`, `2 business hours`."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from service.diagnostics import refused

_WRITTEN = re.compile(r"(\d{1,6})\s*(business\s+)?([a-z]+)", re.IGNORECASE)
_UNITS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_NAMES = {
    **{unit: unit for unit in _UNITS},
    **{f"{unit}s": unit for unit in _UNITS},
    "s": "second",
    "sec": "second",
    "m": "minute",
    "min": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
}
_UNIT = "|".join(sorted(_NAMES, key=len, reverse=True))
# For the JSON Schema of the configuration.
LENGTH_PATTERN = rf"^\s*\d{{1,6}}\s*({_UNIT})\s*$"
REMINDER_PATTERN = rf"^\s*\d{{1,6}}\s*({_UNIT}|business\s+(days?|d))\s*$"
DURATION_PATTERN = rf"^\s*\d{{1,6}}\s*({_UNIT}|business\s+(hours?|h|days?|d))\s*$"
_PLAIN = "write for example 30m, 2h or 1 day"
_LONGEST = timedelta(days=3660)
# Each is counted through the opening hours, a day after the other.
_MOST_BUSINESS = {"hour": 3_660, "day": 366}


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration, of which the business kinds depend on opening hours.

    Exactly one of `plain`, `business_hours` and `business_days` is more than zero, unless the
    duration is zero.
    """

    text: str
    plain: timedelta = timedelta(0)
    business_hours: int = 0
    business_days: int = 0

    @property
    def is_business(self) -> bool:
        return bool(self.business_hours or self.business_days)


def parse_duration(value: Any) -> Duration:
    """Parse a duration; raises ValueError with the error."""
    if isinstance(value, Duration):
        return value
    if not isinstance(value, str):
        raise _refusal(f"{value} has no unit" if _is_number(value) else "this is not a duration")
    written = _WRITTEN.fullmatch(value.strip())
    unit = _NAMES.get(written[3].lower()) if written else None
    if written is None or unit is None:
        raise _refusal(f'"{value[:40]}" is not a duration')
    amount = int(written[1])
    if _UNITS[unit] * amount > _LONGEST:
        raise _refusal(f"{value} is longer than ten years")
    if not written[2]:
        return Duration(value, plain=_UNITS[unit] * amount)
    if amount > _MOST_BUSINESS.get(unit, amount):
        raise _refusal(f"{value} is more than {_MOST_BUSINESS[unit]} business {unit}s")
    if unit == "hour":
        return Duration(value, business_hours=amount)
    if unit == "day":
        return Duration(value, business_days=amount)
    raise _refusal(f"there are business hours and business days, but no business {unit}s")


def parse_length(value: Any) -> timedelta:
    """Parse a duration that does not depend on when it begins; raises ValueError."""
    if isinstance(value, timedelta):
        return value
    try:
        duration = parse_duration(value)
    except PydanticCustomError as error:
        raise refused(error.message(), _PLAIN) from None
    if duration.is_business:
        message = f"{duration.text} depends on opening hours, which cannot be used here"
        raise refused(message, _PLAIN)
    return duration.plain


def in_words(length: timedelta) -> str:
    """A duration in whole seconds as text, such as `1 hour` or `90 minutes`."""
    fitting = ((unit, one) for unit, one in _UNITS.items() if length >= one and not length % one)
    *_, (unit, one) = [("second", _UNITS["second"]), *fitting]
    amount = length // one
    return f"{amount} {unit}{'' if amount == 1 else 's'}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refusal(message: str) -> ValueError:
    return refused(message, "write for example 30m, 2h, 1 day or 2 business hours")


AnyDuration = Annotated[Duration, BeforeValidator(parse_duration)]
Length = Annotated[timedelta, BeforeValidator(parse_length)]
