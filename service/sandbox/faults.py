"""Faults of a system, to be injected into some of its calls."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum

from starlette.responses import Response


class FaultKind(StrEnum):
    """How a call fails. The second group happens after the request was carried out."""

    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    THROTTLED_UNTIL = "throttled_until"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    PAGE = "page"
    REDIRECT = "redirect"
    EMPTY = "empty"
    DENIED = "denied"
    RESET_BEFORE = "reset_before"
    SLOW = "slow"

    LATE = "late"
    FAILED_AFTER = "failed_after"
    RESET_AFTER = "reset_after"
    BROKEN_OFF = "broken_off"
    TRUNCATED = "truncated"
    WRONG_TYPE = "wrong_type"


@dataclass(slots=True)
class Fault:
    """A fault for the next `times` calls of that method and path (any, if not given).

    `seconds` is how long a slow or late response takes and how long a throttled caller must wait.
    """

    kind: FaultKind
    times: int = 1
    method: str | None = None
    path: str | None = None
    seconds: float = 1.0

    def hits(self, method: str, path: str) -> bool:
        return self.method in (None, method) and (self.path is None or self.path in path)


class Faults:
    """The faults that wait for their calls, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def set(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this call, if there is one."""
        fault = next((one for one in self._waiting if one.hits(method, path)), None)
        if fault is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._waiting.remove(fault)
        return fault


def instead(fault: Fault, now: datetime) -> Response | None:
    """The response without carrying the request out; None for faults that carry it out."""
    pause = str(round(fault.seconds))
    until = format_datetime(now + timedelta(seconds=fault.seconds), usegmt=True)
    answers = {
        FaultKind.UNAUTHORIZED: _json('{"message": "Unauthenticated."}', 401),
        FaultKind.NOT_FOUND: _json('{"message": "Not found."}', 404),
        FaultKind.REJECTED: _json('{"message": "The given data was invalid."}', 422),
        FaultKind.THROTTLED: _json('{"message": "Too Many Attempts."}', 429, pause),
        FaultKind.THROTTLED_UNTIL: _json('{"message": "Too Many Attempts."}', 429, until),
        FaultKind.UNAVAILABLE: _json('{"message": "Down for maintenance."}', 503, pause),
        FaultKind.FAILED: failed(),
        FaultKind.PAGE: Response("<html><h1>We are back soon</h1></html>", media_type="text/html"),
        FaultKind.REDIRECT: Response(None, 302, {"Location": "https://elsewhere.invalid/sign-in"}),
        FaultKind.EMPTY: _json("[]", 200),
        FaultKind.DENIED: _json(
            '{"success": false, "error": "Customer has no mobile number"}', 200
        ),
    }
    return answers.get(fault.kind)


def failed() -> Response:
    return _json('{"message": "Server Error"}', 500)


def _json(text: str, status: int, pause: str | None = None) -> Response:
    headers = {} if pause is None else {"Retry-After": pause}
    return Response(text, status, headers, media_type="application/json")
