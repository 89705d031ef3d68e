"""What a system says is left of the calls it allows, in the headers of its answers.

The de facto `X-RateLimit-Remaining` and `-Reset` (GitHub, HubSpot and many others), the drafts
of the IETF up to 07 (`RateLimit-Remaining`, or `RateLimit: limit=100, remaining=50, reset=5`)
and after (`RateLimit: "default";r=50;t=30`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_COMBINED = re.compile(r"\b(r|remaining|t|reset)=(\d{1,12})\b")
_SHORT = {"r": "remaining", "t": "reset"}
# A reset that is larger than this cannot be a number of seconds to wait: it is a time of day.
_LATEST_IN_SECONDS = 10_000_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many calls are left, and for how long these have to last, where that was said."""

    remaining: int
    lasts: timedelta | None = None


def allowance(headers: Mapping[str, str], now: datetime) -> Allowance | None:
    """What an answer says of the calls that are left; None where it says nothing of them."""
    said = {
        _SHORT.get(name, name): value
        for name, value in _COMBINED.findall(headers.get("ratelimit", "").lower())
    }
    remaining = _number(said.get("remaining") or _either(headers, "ratelimit-remaining"))
    if remaining is None:
        return None
    return Allowance(
        remaining, _lasts(said.get("reset") or _either(headers, "ratelimit-reset"), now)
    )


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
