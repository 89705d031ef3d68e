"""All retry schedules, as plain data, with their reasons.

`after(n)` returns the pause after the nth failure in a row; n starts at 1.
"""

import random
from dataclasses import dataclass
from datetime import timedelta

# A system may fail for weeks: what is doubled each time would be longer than any timedelta.
_MOST_DOUBLINGS = 10


@dataclass(frozen=True, slots=True)
class ExponentialBackoff:
    """Pauses that double, from the `first` to the `longest`, without end."""

    first: timedelta
    longest: timedelta

    def after(self, failures: int) -> timedelta:
        times: int = 2 ** min(max(failures - 1, 0), _MOST_DOUBLINGS)
        return min(self.first * times, self.longest)


@dataclass(frozen=True, slots=True)
class FixedSteps:
    """A list of pauses, each longer or shorter by up to `jitter` of it; then no more attempts."""

    pauses: tuple[timedelta, ...]
    jitter: float = 0.0

    def after(self, failures: int) -> timedelta | None:
        """The pause; None when it has failed too often."""
        if failures > len(self.pauses):
            return None
        return self.pauses[failures - 1] * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311


@dataclass(frozen=True, slots=True)
class ProportionalBackoff:
    """A pause as long as the wait so far, but at least `first` and at most `longest`."""

    first: timedelta
    longest: timedelta

    def after(self, waited: timedelta) -> timedelta:
        return min(max(waited, self.first), self.longest)


def _seconds(*pauses: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=one) for one in pauses)


# A message: the schedule of Standard Webhooks 1.0, three days long. The jitter is because what has
# failed together, as when a receiver was away, should not come back together.
DELIVERY = FixedSteps(_seconds(5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400), jitter=0.2)
# How long a message waits for a receiver that asks for a pause before that counts as a failure,
# and the pause if the receiver names none.
PATIENCE, SHORT_PAUSE = timedelta(days=1), timedelta(seconds=2)
# A channel that fails as a whole: one connection is tried, not each message.
LANE = ExponentialBackoff(timedelta(seconds=5), timedelta(minutes=1))
# A customer message that cannot be checked. It should be sent soon, so the system is asked often.
STANDING = ProportionalBackoff(timedelta(seconds=5), timedelta(minutes=2))
# A poll. An account that is seldom polled should not be unread for an hour over a hiccup.
POLL = ExponentialBackoff(timedelta(minutes=1), timedelta(minutes=15))
# A task that could not be read by its id, while others can.
LOOKUP = ExponentialBackoff(timedelta(seconds=2), timedelta(minutes=10))
# A task whose deletion is held, because the system reports many tasks as missing.
HELD_LOOKUP = ExponentialBackoff(timedelta(seconds=2), timedelta(hours=1))
# A task that does not show yet what a webhook announced. A transaction is committed within seconds;
# a copy from which is read may be minutes behind.
ANNOUNCED = FixedSteps(_seconds(2, 5, 15, 60, 180))
