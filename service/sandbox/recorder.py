"""HTTP entry of an emulated system: records requests and injects faults."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.sandbox.faults import Fault, FaultKind, failed, instead
from service.sandbox.system import System

_MINUTE = timedelta(minutes=1)


class RequestRecorder:
    """A system's application behind its faults; responses are dated by the system's clock."""

    def __init__(self, app: ASGIApp, system: System) -> None:
        self._app = app
        self._system = system
        self._meter = _Meter(system)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        self._system.record.requests.append(f"{method} {path}")
        if method == "GET":
            self._system.watched.set()
        headed = self._headed(send, self._meter.count())
        fault = self._meter.excess() or self._system.faults.take(method, path)
        if fault is None:
            await self._app(scope, receive, headed)
        else:
            await self._go_wrong(fault, scope, receive, headed)

    async def _go_wrong(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        answer = instead(fault, self._system.clock.now())
        if answer is not None:
            await answer(scope, receive, send)
        elif fault.kind is FaultKind.RESET_BEFORE:
            await _reset(receive)
        elif fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
            await self._app(scope, receive, send)
        else:
            await self._spoil(fault, scope, receive, send)

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the request out, then lose, delay or damage the response."""
        answer = _Capture()
        await self._app(scope, receive, answer)
        if fault.kind is FaultKind.RESET_AFTER:
            await _reset(receive)
        elif fault.kind is FaultKind.LATE:
            await asyncio.sleep(fault.seconds)
            await send(answer.start)
            await send({"type": "http.response.body", "body": answer.body})
        elif fault.kind is FaultKind.BROKEN_OFF:
            await send(answer.start)
            await send({"type": "http.response.body", "body": answer.half, "more_body": True})
            await _reset(receive)
        else:
            await _damaged(fault.kind, answer)(scope, receive, send)

    def _headed(self, send: Send, left: int | None) -> Send:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["date"] = format_datetime(self._system.clock.now(), usegmt=True)
                if left is not None:
                    headers["x-ratelimit-remaining"] = str(max(left, 0))
            await send(message)

        return headed


class _Meter:
    """Counts the calls of each minute, if a quirk limits them."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._until = datetime.min.replace(tzinfo=UTC)
        self._left = 0

    def count(self) -> int | None:
        """How many calls are left after this one; None if there is no limit."""
        allowed, now = self._system.quirks.per_minute, self._system.clock.now()
        if allowed is None:
            return None
        if now >= self._until:
            self._until, self._left = now + _MINUTE, allowed
        self._left -= 1
        return self._left

    def excess(self) -> Fault | None:
        """The response to a call above the limit."""
        if self._system.quirks.per_minute is None or self._left >= 0:
            return None
        rest = self._until - self._system.clock.now()
        return Fault(FaultKind.THROTTLED, seconds=rest.total_seconds())


class _Capture:
    """Stores a response instead of sending it."""

    def __init__(self) -> None:
        self.start: Message = {}
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")

    @property
    def status(self) -> int:
        return int(self.start["status"])

    @property
    def half(self) -> bytes:
        return self.body[: len(self.body) // 2]


def _damaged(kind: FaultKind, answer: _Capture) -> Response:
    match kind:
        case FaultKind.TRUNCATED:
            return Response(answer.half, answer.status, media_type="application/json")
        case FaultKind.WRONG_TYPE:
            return Response(answer.body, answer.status, media_type="text/plain")
        case _:
            return failed()


async def _reset(receive: Receive) -> None:
    """Reset the connection; uvicorn keeps it on the object that `receive` belongs to.

    uvicorn logs an error if a call ends before it has noticed that.
    """
    receive.__self__.transport.abort()  # type: ignore[attr-defined]
    while (await receive())["type"] != "http.disconnect":
        pass
