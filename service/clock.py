"""The only source of time. All code gets the time from an injected clock."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of the current time."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SharedClock:
    """The clock of a host, set to one that all processes share.

    `ahead` is by how much the host's clock is ahead of it.
    """

    def __init__(self, of_host: Clock) -> None:
        self.of_host = of_host
        self.ahead = timedelta()

    def now(self) -> datetime:
        return self.of_host.now() - self.ahead


class VirtualClock:
    """A clock that is set by hand; for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by

    def set(self, moment: datetime) -> None:
        self._now = moment.astimezone(UTC)
