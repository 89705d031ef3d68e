"""Exceptions raised by Taskbell.

    TaskbellError
    ├── SettingsError           the environment has errors; lists all of them
    ├── ConfigError             the configuration has errors; carries all of them
    ├── PayloadError            a webhook body in which no task can be read
    ├── SourceError             a call to a system failed
    │   ├── SourceUnreachable   nothing was sent: no connection, breaker open, address refused
    │   ├── SourceThrottled     the system asked for a pause (429, 503 with Retry-After)
    │   ├── SourceUnauthorized  the credentials were not accepted (401, 403)
    │   ├── SourceRejected      the system understood and refused (400, 404, 422); final
    │   ├── SourceBroken        the system failed or sent nonsense (5xx, HTML, truncated JSON)
    │   └── OutcomeUnknown      the request was sent; it is unknown whether it was carried out
    └── SendError               a channel could not send
        └── OptedOut            the receiver has told the sending service that they want nothing
    asyncio.CancelledError
    └── CallNotStarted          a call was cancelled before it was sent

The text of each is for a person: what happened, where, what to do. None contains a secret.
"""

from asyncio import CancelledError
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from service.diagnostics import Diagnostic


class TaskbellError(Exception):
    """Something went wrong that Taskbell can explain."""


class ConfigError(TaskbellError):
    """The configuration has errors; `faults` has all of them, with position and suggestion."""

    def __init__(self, faults: Sequence[Diagnostic]) -> None:
        super().__init__("\n\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class SettingsError(TaskbellError):
    """The environment has errors; the message lists all of them."""


class PayloadError(TaskbellError):
    """A webhook body in which no task can be read."""


class CallNotStarted(CancelledError):
    """A call was cancelled while it waited for its turn: nothing has left this process."""


class SourceError(TaskbellError):
    """A call to a system failed.

    `retry_after` is the pause that the system asked for, or None. `status` is HTTP's, if there was
    an answer.
    """

    def __init__(
        self, message: str, *, retry_after: timedelta | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status


class SourceUnreachable(SourceError):
    """Nothing reached the system; the call can safely be repeated."""


class SourceThrottled(SourceError):
    """The system asked for a pause and did nothing."""


class SourceUnauthorized(SourceError):
    """The system does not accept the account's credentials."""


class SourceRejected(SourceError):
    """The system understood the call and refused it; repeating it will not help.

    `answer` is the system's error text, without secrets.
    """

    def __init__(self, message: str, *, status: int | None = None, answer: str = "") -> None:
        super().__init__(message, status=status)
        self.answer = answer


class SourceBroken(SourceError):
    """The system failed, or its response has an unexpected format."""


class OutcomeUnknown(SourceError):
    """The request may or may not have been carried out."""


class SendError(TaskbellError):
    """A channel could not send a message.

    - `permanent`: trying again will not help
    - `retry_after`: the pause that the receiving system asked for
    - `outcome_unknown`: the message may have arrived
    - `not_now`: nothing was done, and the receiving system wants it later: this is not a failed
      attempt
    - `progress`: what was achieved all the same, for the next attempt (`Message.progress`)
    - `status`: the status of the answer, as HTTP or SMTP have one; None: there was no answer
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: timedelta | None = None,
        outcome_unknown: bool = False,
        not_now: bool = False,
        progress: dict[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.progress = progress
        self.status = status
        self.not_now = not_now
        self.permanent = permanent
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown

    @classmethod
    def from_source(cls, error: SourceError) -> Self:
        """The SendError for a failed call to a system that a message depended on."""
        return cls(
            str(error),
            permanent=isinstance(error, SourceUnauthorized | SourceRejected),
            retry_after=error.retry_after,
            outcome_unknown=not isinstance(
                error, SourceUnauthorized | SourceRejected | SourceUnreachable | SourceThrottled
            ),
            not_now=isinstance(error, SourceThrottled)
            or (isinstance(error, SourceUnreachable) and error.retry_after is not None),
            status=error.status,
        )


class OptedOut(SendError):
    """The receiver has told the service that sends a message that they want no more of them.

    `address` is theirs, as the service was given it.
    """

    def __init__(self, message: str, address: str, status: int | None) -> None:
        super().__init__(message, permanent=True, status=status)
        self.address = address


class CannotStart(TaskbellError):
    """An embedded server does not start; the message says which one, where and why."""

    @classmethod
    def because(cls, server: str, folder: Path, reason: str) -> "CannotStart":
        return cls(f"{server} does not start in {folder}: {reason}")
