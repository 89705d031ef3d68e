"""The storm guard: how many customer messages at once are more than anybody can have meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

# How many times the usual is a storm, over how long that is taken, and from how many spans of time.
TIMES = 10
LOOK_BACK = timedelta(days=30)
ENOUGH = 20


@dataclass(frozen=True, slots=True)
class StormGuard:
    """More than `messages` customer messages of one account `within` a span of time are a storm."""

    messages: int = 50
    within: timedelta = timedelta(minutes=10)

    def is_unusual(self, count: int) -> bool:
        """Whether it is worth asking what is usual: ten times that is at least ten."""
        return TIMES < count <= self.messages

    def refusal(self, count: int, usual: float | None) -> str | None:
        """Why so many are held; None where they are not too many. For `usual` see `usual_of`."""
        if count > self.messages:
            why = f"more than {self.messages}"
        elif usual is not None and count > TIMES * usual:
            why = f"more than {TIMES} times the usual {usual:.1f}"
        else:
            return None
        minutes = self.within.total_seconds() / 60
        return f"held by the storm guard: {count} customer messages in {minutes:g} minutes, {why}"


@dataclass(frozen=True, slots=True)
class Lately:
    """By account: why a storm holds its customer messages, and when others have gone out."""

    reasons: Mapping[str, str] = field(default_factory=dict)
    sent: Sequence[tuple[str, datetime]] = ()


def usual_of(messages: int, spans: int) -> float | None:
    """How many customer messages go out in a span in which any do; None where too little is known.

    A span of time is as long as `StormGuard.within`.
    """
    return messages / spans if spans >= ENOUGH else None


def usual(sent: Sequence[datetime], within: timedelta) -> float | None:
    """The same of the moments at which they were sent."""
    return usual_of(
        len(sent), len({moment.timestamp() // within.total_seconds() for moment in sent})
    )
