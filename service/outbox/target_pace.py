"""How fast messages follow each other to one target: a few at once, then at a pace."""

from collections.abc import Sequence
from datetime import datetime, timedelta

_AT_ONCE = 5


class TargetRateLimit:
    """When each target of one lane may be written to again.

    Kept as the one moment at which its turn would come if all went at the `pace`; it may be ahead
    of that by a few messages. Without a pace only pauses count that a target itself asks for.
    """

    def __init__(self, pace: timedelta | None) -> None:
        self._pace = pace or timedelta(0)
        self._turns: dict[str, datetime] = {}
        self._ahead = self._pace * (_AT_ONCE - 1)

    def resting(self, now: datetime) -> Sequence[str]:
        """The targets whose turn has not come."""
        self._turns = {
            target: turn for target, turn in self._turns.items() if turn > now - self._ahead
        }
        return [target for target, turn in self._turns.items() if turn > now]

    def sent(self, target: str, now: datetime) -> None:
        """Note that a message has gone to the target."""
        if self._pace:
            turn = self._turns.get(target, now - self._ahead)
            self._turns[target] = max(turn, now - self._ahead) + self._pace

    def refused(self, target: str, until: datetime) -> None:
        """Note that the target wants nothing until then; nothing runs ahead after that."""
        self._turns[target] = until

    def rest(self, target: str, now: datetime) -> timedelta:
        """How long until the target may be written to again."""
        return max(self._turns.get(target, now) - now, timedelta(0))
