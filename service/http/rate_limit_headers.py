"""The remaining calls that a system reports in the headers of its responses.

The de facto `X-RateLimit-Remaining` and `-Reset` (GitHub, HubSpot and many others), the drafts of
the IETF up to 07 (`RateLimit-Remaining`, or `RateLimit: limit=100, remaining=50, reset=5`) and
after (`RateLimit: "default";r=50;t=30`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.http import answered_at

_COMBINED = re.compile(r"\b(r|remaining|t|reset)=(\d{1,12})\b")
_SHORT = {"r": "remaining", "t": "reset"}
# A reset that is larger than this cannot be a number of seconds to wait: it is a time of day.
_LATEST_IN_SECONDS = 10_000_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many calls are left, and for how long, if the system reports it."""

    remaining: int
    lasts: timedelta | None = None


def allowance(headers: Mapping[str, str], now: datetime) -> Allowance | None:
    """The remaining calls in a response's headers; None if it has no such header.

    Of several limits the one counts that leaves the fewest. A reset that is a time of day refers to
    the server's clock.
    """
    said = _tightest(headers.get("ratelimit", "").lower())
    remaining = _number(said.get("remaining") or _either(headers, "ratelimit-remaining"))
    if remaining is None:
        return None
    reset = said.get("reset") or _either(headers, "ratelimit-reset")
    return Allowance(remaining, _lasts(reset, answered_at(headers, now)))


def _tightest(combined: str) -> dict[str, str]:
    """The limit in `RateLimit` with the least left; commas separate them since draft 08."""
    limits = combined.split(",") if ";" in combined else [combined]
    found = [
        {_SHORT.get(name, name): value for name, value in _COMBINED.findall(limit)}
        for limit in limits
    ]
    told = [limit for limit in found if "remaining" in limit]
    return min(told, key=lambda limit: int(limit["remaining"]), default={})


def _either(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name) or headers.get(f"x-{name}", "")


def _number(text: str) -> int | None:
    text = text.strip()[:12]
    return int(text) if text.isascii() and text.isdigit() else None


def _lasts(text: str, now: datetime) -> timedelta | None:
    seconds = _number(text)
    if seconds is None:
        return None
    if seconds < _LATEST_IN_SECONDS:
        return timedelta(seconds=seconds)
    return max(datetime.fromtimestamp(min(seconds, 10**11), UTC) - now, timedelta(0))
