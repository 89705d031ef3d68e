"""`limit`: how many messages one rule may send within any minute, hour or day."""

import re
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service.diagnostics import refused
from service.document.messages import must_be

_WRITTEN = re.compile(r"(\d{1,6})\s*/\s*([mhd])")
_PERIODS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_WORDS = dict(zip(_PERIODS.values(), ("a minute", "an hour", "a day"), strict=True))


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` messages within any `period`; `text` is how it was written."""

    text: str
    count: int
    period: timedelta

    @property
    def refusal(self) -> str:
        """The reason of a message that exceeds the limit."""
        messages = "1 message" if self.count == 1 else f"{self.count} messages"
        return f"limit reached: the rule may send {messages} {_WORDS[self.period]} ({self.text})"

    def admits(self, moment: datetime, others: Iterable[datetime]) -> bool:
        """Whether one more message may be sent at `moment`, besides those sent at `others`."""
        moments = sorted(others)
        insort(moments, moment)
        pairs = zip(moments, moments[self.count :], strict=False)
        return all(later - earlier >= self.period for earlier, later in pairs)


def parse_limit(value: Any) -> Limit:
    """Parse a limit such as `5/h`; raises ValueError with the error."""
    hint = "write for example 5/h, 2/m or 20/d"
    written = _WRITTEN.fullmatch(value.strip()) if isinstance(value, str) else None
    if written is None:
        wanted = "a number and a period"
        raise refused(must_be("limit", wanted, value), hint)
    count = int(written[1])
    if count == 0:
        raise refused("a limit of 0 never sends", "write enabled: shadow, or for example 1/d")
    return Limit(f"{count}/{written[2]}", count, _PERIODS[written[2]])
