"""The values of the parts of an expression, as `tracing` finds them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class TraceStatus(StrEnum):
    """The result of an expression or a part of one."""

    KNOWN = "known"
    MISSING = "missing"
    FAILED = "failed"
    NOT_NEEDED = "not_needed"


@dataclass(frozen=True, slots=True)
class Trace:
    """A part of an expression, its `value`, and the parts inside.

    Dates are aware, durations are timedeltas. An unknown part has no value; `reason` says why it
    `FAILED`.
    """

    text: str
    finding: TraceStatus
    value: Any = None
    reason: str | None = None
    parts: tuple["Trace", ...] = ()
