"""Holds: all messages to customers wait until a person's pause is over. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """Messages to customers wait from `created_at` until `ends_at` (UTC), which is excluded."""

    id: int
    created_at: datetime
    ends_at: datetime
    reason: str
    created_by: str

    @property
    def said(self) -> str:
        """The reason of a message that waits for its end."""
        until = f"{self.ends_at:%Y-%m-%d %H:%M} UTC"
        return f"customer messages are on hold until {until} ({self.created_by}): {self.reason}"

    def is_on(self, now: datetime) -> bool:
        return self.created_at <= now < self.ends_at


def last_of(holds: Iterable[Hold], now: datetime) -> Hold | None:
    """The hold that ends last of those that are on."""
    on = [one for one in holds if one.is_on(now)]
    return max(on, key=lambda one: (one.ends_at, -one.id), default=None)
