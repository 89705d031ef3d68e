"""The interface of an account's rate limit and circuit breaker."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, Self

_FEWEST_KEPT = 3.0


@dataclass(frozen=True, slots=True)
class Admission:
    """The result of asking whether a call may be made.

    `refused_for` is how long calls are still refused; None if this one may be made after `wait`.
    `after_failures` says that calls before it failed, so that its success has to be recorded.
    """

    wait: timedelta = timedelta(0)
    refused_for: timedelta | None = None
    after_failures: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """An account's calls a minute: those reserved for customer messages, and the others."""

    kept: float
    others: float

    @classmethod
    def of(cls, per_minute: float) -> Self:
        """A tenth is reserved, but at least three; of very few calls no more than half."""
        kept = min(max(per_minute / 10, _FEWEST_KEPT), per_minute / 2)
        return cls(kept, per_minute - kept)


class Throttle(Protocol):
    """An account's rate limit and circuit breaker: callers ask before a call, report after it."""

    async def admit(self) -> Admission:
        """Take one call out of the account's budget."""

    async def succeeded(self, admission: Admission) -> None:
        """Report that the system responded."""

    async def spent(self, lasts: timedelta) -> None:
        """Report that no call is left for this long."""

    async def failed(self, asked: timedelta | None) -> None:
        """Report that the call failed; `asked` is the pause that the system asked for."""


class Unthrottled:
    """For the few calls that a person makes by hand, such as those of `taskbell doctor`."""

    async def admit(self) -> Admission:
        return Admission()

    async def succeeded(self, admission: Admission) -> None:
        del admission

    async def spent(self, lasts: timedelta) -> None:
        del lasts

    async def failed(self, asked: timedelta | None) -> None:
        del asked
