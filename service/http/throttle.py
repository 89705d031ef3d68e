"""How fast and whether at all an account's system may be called just now."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic

LONGEST_PAUSE = timedelta(minutes=5)


class RateLimit:
    """At most `per_minute` calls a minute, of which up to `burst` may come at once.

    A bucket of tokens, kept as the one moment at which the next token would be there.
    """

    def __init__(
        self, per_minute: float, *, burst: int = 20, now: Callable[[], float] = monotonic
    ) -> None:
        self._interval = 60 / per_minute
        self._slack = self._interval * burst
        self._now = now
        self._next = now() - self._slack

    def reserve(self) -> float:
        """Take one call; the seconds to wait before making it."""
        now = self._now()
        self._next = max(self._next, now - self._slack) + self._interval
        return max(0.0, self._next - now)


class Breaker:
    """Stops calling a system that keeps failing, and lets one call through now and then.

    Opens after `threshold` failures in a row, or at once when the system asks for a pause. Each
    further failure doubles the pause, up to five minutes.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        pause: timedelta = timedelta(seconds=5),
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._threshold = threshold
        self._pause = pause
        self._now = now
        self._failures = 0
        self._open_until: float | None = None

    def refuses_for(self) -> timedelta | None:
        """How long calls are still refused; None if this one may be made.

        After the pause the first to ask is the probe; the others wait one more pause for what
        it finds.
        """
        if self._open_until is None:
            return None
        now = self._now()
        if now < self._open_until:
            return timedelta(seconds=self._open_until - now)
        self._open_until = now + self._pause.total_seconds()
        return None

    def succeeded(self) -> None:
        self._failures = 0
        self._open_until = None

    def failed(self, asked: timedelta | None = None) -> None:
        """Count a failure; `asked` is the pause that the system asked for."""
        self._failures += 1
        beyond = self._failures - self._threshold
        if asked is None and beyond < 0:
            return
        own = min(self._pause * 2 ** min(max(beyond, 0), 10), LONGEST_PAUSE)
        pause = own if asked is None else asked
        self._open_until = self._now() + pause.total_seconds()
