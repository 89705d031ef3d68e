"""Rate limit per target: a few messages at once, then a fixed rate."""

from collections.abc import Sequence
from datetime import datetime, timedelta

_AT_ONCE = 5


class TargetRateLimit:
    """When the next message to each target of one lane may be sent.

    For each target one time is stored: that of its next message at the steady `pace` (GCRA). A few
    messages may be sent ahead of it. Without a pace, only the pauses that a target requests apply.
    """

    def __init__(self, pace: timedelta | None) -> None:
        self._pace = pace or timedelta(0)
        self._turns: dict[str, datetime] = {}
        self._ahead = self._pace * (_AT_ONCE - 1)

    def resting(self, now: datetime) -> Sequence[str]:
        """The targets that may not be sent to yet."""
        self._turns = {
            target: turn for target, turn in self._turns.items() if turn > now - self._ahead
        }
        return [target for target, turn in self._turns.items() if turn > now]

    def sent(self, target: str, now: datetime) -> None:
        """Record that a message was sent to the target."""
        if self._pace:
            turn = self._turns.get(target, now - self._ahead)
            self._turns[target] = max(turn, now - self._ahead) + self._pace

    def refused(self, target: str, until: datetime) -> None:
        """Record that the target requested a pause until then; nothing is sent ahead after it."""
        self._turns[target] = until

    def rest(self, target: str, now: datetime) -> timedelta:
        """How long until the next message to the target may be sent."""
        return max(self._turns.get(target, now) - now, timedelta(0))
