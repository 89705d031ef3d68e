"""The values of a condition and of its parts, as text for people."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import orjson

from service.explaining.clockwork import told
from service.rules.tracing import Finding, Trace


def rows(trace: Trace, zone: ZoneInfo, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Each part of a condition and its value, parts indented below the whole; dates in `zone`."""
    yield f"{'  ' * depth}{' '.join(trace.text.split())}", _value(trace, zone)
    for part in trace.parts:
        yield from rows(part, zone, depth + 1)


def _value(trace: Trace, zone: ZoneInfo) -> str:
    match trace.finding:
        case Finding.NOT_NEEDED:
            return "not needed"
        case Finding.MISSING:
            return "nothing"
        case Finding.FAILED:
            return f"has no value: {trace.reason}"
    if isinstance(trace.value, datetime):
        return told(trace.value, zone)
    if isinstance(trace.value, timedelta):
        return str(trace.value)
    return orjson.dumps(trace.value, default=str).decode()
