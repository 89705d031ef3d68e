"""uvicorn's HTTP protocol with limits: for the size of a request's head, and for times.

Requests that are refused here never reach the application; the response has Taskbell's format.
"""

import asyncio
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from service.web.limits.connection_limiter import ConnectionLimiter
from service.web.problems import Problem, come_again, respond

log = structlog.get_logger()

HEAD_BYTES = 64_000  # of the address and all headers, and of whatever is no part of a body
HEADER_LINES = 200
LENGTH_DIGITS = 20
PIPELINED = 20  # requests that may wait for the answers to those before them
HEAD_SECONDS = 10.0  # until a head is whole, and until the rest comes of what is answered already
ANSWER_SECONDS = 60.0  # until an answer is taken
LINGERING = 2.0  # seconds in which a client that still sends can read why it was refused
_VERSIONS = {"1.0", "1.1"}


class Connection(HttpToolsProtocol):
    """One client's connection; `since` is when it began to wait for the client."""

    server_state: ConnectionLimiter
    since = 0.0
    _is_in_head = False
    _is_deaf = False
    _head_bytes = 0
    _lines = 0
    _overhead = 0  # bytes since the last that ended a head or were body
    _running: RequestResponseCycle

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for the client: for a request, its rest, or to read the response."""
        return self._is_between or self.cycle.more_body

    @property
    def address(self) -> str:
        """The client's address, or that of its proxy."""
        return self.client[0] if self.client else ""

    @property
    def _is_between(self) -> bool:
        """Whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def drop(self) -> None:
        """Close it at once."""
        self.transport.abort()

    def end_if_overdue(self, now: float) -> None:
        """Close it if the client has taken too long."""
        if now - self.since <= self._allowed():
            return
        if self._is_in_head and not self._is_deaf:
            self._refuse(_too_slow())
        else:
            self.drop()

    def _allowed(self) -> float:
        """How many seconds this wait may take; a request's body has its own limit."""
        if self._is_deaf and self._is_between:
            return LINGERING
        if self.flow.write_paused or self.transport.get_write_buffer_size():
            return ANSWER_SECONDS
        return HEAD_SECONDS if self._is_between else math.inf

    def connection_made(  # type: ignore[override]  # as uvicorn has it
        self, transport: asyncio.Transport
    ) -> None:
        self.since = self.loop.time()
        has_room = self.server_state.make_room(self.since)
        super().connection_made(transport)
        if not has_room:
            self._refuse(_no_room())

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        self._overhead += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            said = error.__context__
            self._refuse(said if isinstance(said, Problem) else _not_http())
        else:
            if self._overhead >= HEAD_BYTES:
                self._refuse(_head_too_large())

    def pause_writing(self) -> None:
        self.since = self.loop.time()
        super().pause_writing()

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self.since = self.loop.time()
        self._head_bytes = self._lines = 0
        if len(self.pipeline) >= PIPELINED:
            raise _too_many()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._head_bytes += len(url)
        if self._head_bytes >= HEAD_BYTES:
            raise _address_too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += 1
        self._head_bytes += len(name) + len(value)
        if self._head_bytes >= HEAD_BYTES or self._lines > HEADER_LINES:
            raise _head_too_large()
        if self._is_in_head:  # what follows a body says nothing about it
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._overhead = 0
        version, method = self.parser.get_http_version(), self.parser.get_method()
        if version not in _VERSIONS or method == b"CONNECT" or not _is_clear(self.headers):
            raise _not_http()
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            self._is_in_head = False

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._overhead = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _decline(self, rest: bytes) -> None:
        """Ignore the request's offer to upgrade to another protocol, and read what came after it.

        A server may ignore such an offer. Java's own client sends one with every request in plain
        HTTP.
        """
        first = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        lines = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([first, *lines, b"", rest]))

    def _refuse(self, problem: Problem) -> None:
        """Read no more. Send the error, unless the response to an earlier request is pending."""
        log.debug("web.refused", status=int(problem.status_code), address=self.address)
        self._is_deaf = True
        self.since = self.loop.time()
        if (before := self._last_whole()) is not None:
            self.cycle = before
            before.keep_alive = False
            self.flow.resume_reading()
        else:
            self._end(problem)

    def _last_whole(self) -> RequestResponseCycle | None:
        """The last complete request before the refused one, if it is not answered yet."""
        if self._is_in_head:
            return None if self._is_between else self.cycle
        if not self.pipeline:
            return None
        self.pipeline.popleft()
        return self.pipeline[0][0] if self.pipeline else self._running

    def _end(self, problem: Problem) -> None:
        """Send the response, and no more; the client may still be sending."""
        if self._is_between or not self.cycle.response_started:
            self._write(problem)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.cycle = None  # type: ignore[assignment]  # as before the first request
        self.transport.write_eof()

    def _write(self, problem: Problem) -> None:
        answer = respond(problem)
        headers = (*self.server_state.default_headers, *answer.raw_headers)
        lines = [b"%b: %b\r\n" % header for header in headers]
        body = bytes(answer.body)
        self.transport.write(b"".join([STATUS_LINE[answer.status_code], *lines, b"\r\n", body]))


def _is_clear(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether there is at most one Host, and no length that only a large number could have."""
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length" and len(value) > LENGTH_DIGITS:
            return False
    return hosts <= 1


def _closing(status: HTTPStatus, detail: str) -> Problem:
    return Problem(status, detail, headers={"Connection": "close"})


def _not_http() -> Problem:
    return _closing(
        HTTPStatus.BAD_REQUEST,
        "This is not a well-formed HTTP/1.1 request: see its first line and its headers",
    )


def _head_too_large() -> Problem:
    return _closing(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"The headers have more than {HEAD_BYTES} bytes or {HEADER_LINES} lines",
    )


def _address_too_long() -> Problem:
    return _closing(
        HTTPStatus.REQUEST_URI_TOO_LONG, f"The address has more than {HEAD_BYTES} bytes"
    )


def _too_slow() -> Problem:
    return _closing(
        HTTPStatus.REQUEST_TIMEOUT, f"The headers did not come within {HEAD_SECONDS:g} seconds"
    )


def _too_many() -> Problem:
    return _closing(
        HTTPStatus.TOO_MANY_REQUESTS, f"More than {PIPELINED} requests wait for their answers"
    )


def _no_room() -> Problem:
    return come_again(
        HTTPStatus.SERVICE_UNAVAILABLE, "All connections are busy; try again soon", closes=True
    )
