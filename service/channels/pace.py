"""`rate`: how fast a channel sends to one target."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from service.diagnostics import refused
from service.document.messages import must_be

_WRITTEN = re.compile(r"(\d{1,6})\s*/\s*([smhd])")
_PERIODS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """Messages to one target go one after the other: `burst` at once, then one each `interval`."""

    interval: timedelta
    burst: int


def _parse_rate(value: Any) -> timedelta:
    """The interval between two messages at a rate such as `60/m`."""
    hint = "write for example 1/s, 30/m or 100/h"
    written = _WRITTEN.fullmatch(value.strip()) if isinstance(value, str) else None
    if written is None:
        raise refused(must_be("rate", "a number and a period", value), hint)
    if (count := int(written[1])) == 0:
        raise refused("a rate of 0 never sends", hint)
    return _PERIODS[written[2]] / count


Rate: TypeAlias = Annotated[
    timedelta,
    PlainValidator(_parse_rate),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d{1,6}\s*/\s*[smhd]\s*$"}),
]
"""The interval between two messages; written as `1/s`, `30/m`, `100/h` or `20/d`."""
