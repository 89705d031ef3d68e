"""Real servers at the other end, for every test that sends something.

They listen on 127.0.0.1 on a port of their own, keep what they got, and fail on demand. Slack
and SMTP are in `slack_receiver.py` and `smtp_receiver.py`.
"""

import asyncio
import socket
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_network
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import orjson

LOOPBACK = (ip_network("127.0.0.0/8"),)


class Fault(StrEnum):
    """How an answer goes wrong."""

    RESET_BEFORE = "reset before the request was read"
    RESET_AFTER = "reset after the request was read"
    HALF = "half of the answer, then nothing"


@dataclass(frozen=True, slots=True)
class Request:
    """What an HTTP client sent; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say to one request, after `delay` seconds or when `after` is set.

    `body` may be given as JSON values.
    """

    status: int = 200
    body: bytes | dict[str, Any] | list[Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    after: asyncio.Event | None = None
    fault: Fault | None = None

    def encode(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
        kind = "text/plain" if isinstance(self.body, bytes) else "application/json"
        headers = {"content-type": kind, "content-length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


class Receiver:
    """A server on 127.0.0.1 while its context is open."""

    def __init__(self) -> None:
        self.port = 0
        self.closing = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await self.listen()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def listen(self) -> asyncio.Server:
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop listening and drop every connection: from now on nobody is there."""
        self.closing.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        await self.drop()

    async def drop(self) -> None:
        """Close the connections that are open."""

    async def start_again(self) -> None:
        """Listen again after a `stop`, at the same port."""
        self.closing.clear()
        self._server = await self.listen()


class HttpReceiver(Receiver):
    """Answers 200, unless told otherwise by `reply` or by a subclass's `answer`."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.connections = 0
        self._script: deque[Answer] = deque()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reply(self, *answers: Answer) -> None:
        """Say these to the next requests, one each."""
        self._script.extend(answers)

    def forget_replies(self) -> None:
        """Answer as if nothing had been scripted."""
        self._script.clear()

    def answer(self, request: Request) -> Answer:
        """What to say to a request for which nothing was scripted."""
        del request
        return Answer()

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def drop(self) -> None:
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._converse(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n")
        if self._script and self._script[0].fault is Fault.RESET_BEFORE:
            self._script.popleft()
            return _reset(writer)
        request = await _read(head, reader)
        self.requests.append(request)
        answer = self._script.popleft() if self._script else self.answer(request)
        await self._pause(answer)
        return await _say(answer, writer)

    async def _pause(self, answer: Answer) -> None:
        """Until it is time for this answer, or until the receiver closes."""
        if not answer.delay and answer.after is None:
            return
        waits = [asyncio.ensure_future(self.closing.wait())]
        if answer.after is not None:
            waits.append(asyncio.ensure_future(answer.after.wait()))
        await asyncio.wait(waits, timeout=answer.delay or None, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


async def _read(head: bytes, reader: asyncio.StreamReader) -> Request:
    method, target, _ = head.decode().split(" ")
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    return Request(method, parts.path, dict(parse_qsl(parts.query)), headers, body)


async def _say(answer: Answer, writer: asyncio.StreamWriter) -> bool:
    """Answer; whether the connection is to be kept."""
    if answer.fault is Fault.RESET_AFTER:
        return _reset(writer)
    text = answer.encode()
    if answer.fault is Fault.HALF:
        writer.write(text[: len(text) // 2])
        return False
    writer.write(text)
    await writer.drain()
    return True


def _reset(writer: asyncio.StreamWriter) -> bool:
    writer.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
    )
    writer.transport.abort()
    return False
