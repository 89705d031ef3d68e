"""Connection limit: closes idle connections when it is reached.

Idle connections cost their clients nothing, so they must not block clients that send requests: when
the limit is reached, a webhook replaces a connection that waits.
"""

import resource
from collections import Counter
from typing import Protocol, cast

import structlog
from uvicorn.server import ServerState

log = structlog.get_logger()

MOST = 1000
_SPARED = 100  # file descriptors for everything else in this process
_SHARE = 20  # one in so many makes way at once, for it takes a while to choose them
_BETWEEN_LINES = 60.0  # seconds


class TrackedConnection(Protocol):
    """The interface of a connection that can be closed."""

    since: float

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for the client, since the time `since`."""

    @property
    def address(self) -> str:
        """The client's address."""

    def drop(self) -> None:
        """Close it at once."""

    def end_if_overdue(self, now: float) -> None:
        """Close it if the client has taken too long."""


class ConnectionLimiter(ServerState):
    """All connections of the process."""

    def __init__(self) -> None:
        super().__init__()
        self._dropped = 0
        self._next_line = 0.0

    @property
    def guests(self) -> tuple[TrackedConnection, ...]:
        """The open connections."""
        return tuple(cast("set[TrackedConnection]", self.connections))

    def make_room(self, now: float) -> bool:
        """Whether there is room for one more, possibly after closing others.

        Connections of the address that has most of them are closed first, the longest-waiting one
        of these.
        """
        most = _most()
        if len(self.connections) < most:
            return True
        waiting = [one for one in self.guests if one.is_waiting]
        numbers = Counter(one.address for one in waiting)
        waiting.sort(key=lambda one: (-numbers[one.address], one.since))
        for one in waiting[: max(1, most // _SHARE)]:
            one.drop()
            self._dropped += 1
        self._tell(most, max(numbers.values(), default=0), now)
        return bool(waiting)

    def _tell(self, most: int, of_one_address: int, now: float) -> None:
        if now >= self._next_line:
            log.warning(
                "web.crowded", most=most, dropped=self._dropped, of_one_address=of_one_address
            )
            self._dropped, self._next_line = 0, now + _BETWEEN_LINES


def _most() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST, max(files - _SPARED, _SHARE))
