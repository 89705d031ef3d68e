"""Real servers at the other end, for every test that sends something: HTTP, Slack and SMTP.

They listen on 127.0.0.1 on a port of their own, keep what they got, and fail on demand.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import StrEnum
from functools import partial
from ipaddress import ip_network
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import orjson
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

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
    """What to say to one request, after `delay` seconds; `body` may be given as JSON values."""

    status: int = 200
    body: bytes | dict[str, Any] | list[Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
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

    def answer(self, request: Request) -> Answer:
        """What to say to a request for which nothing was scripted."""
        del request
        return Answer()

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

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
        await self._pause(answer.delay)
        return await _say(answer, writer)

    async def _pause(self, delay: float) -> None:
        if not delay:
            return
        try:
            await asyncio.wait_for(self.closing.wait(), delay)
        except TimeoutError:
            return


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


class SlackReceiver(HttpReceiver):
    """A workspace with the channels of `names`, one user of each mail, and what was posted."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.channels = {name: f"C{number}" for number, name in enumerate(names)}
        self.posted: dict[tuple[str, str], dict[str, Any]] = {}
        self._ts = count(1)

    def answer(self, request: Request) -> Answer:
        methods: dict[str, Callable[[Request], dict[str, Any]]] = {
            "/api/chat.postMessage": self._post,
            "/api/chat.update": self._update,
            "/api/users.lookupByEmail": lambda one: {"user": {"id": f"U-{one.query['email']}"}},
            "/api/conversations.open": lambda one: {"channel": {"id": f"D-{one.json['users']}"}},
            "/api/conversations.list": partial(self._page, self._listing),
            "/api/conversations.history": partial(self._page, self._history),
        }
        return Answer(body={"ok": True, **methods[request.path](request)})

    def take(self, content: dict[str, Any]) -> dict[str, Any]:
        """Post a message as chat.postMessage does, without a request."""
        wanted = content["channel"]
        channel = f"D-{wanted}" if wanted.startswith("U") else self.channels[wanted.strip("#")]
        ts = f"{next(self._ts)}.000100"
        self.posted[channel, ts] = content
        return {"channel": channel, "ts": ts}

    def _post(self, request: Request) -> dict[str, Any]:
        return self.take(request.json)

    def _update(self, request: Request) -> dict[str, Any]:
        place = {"channel": request.json["channel"], "ts": request.json["ts"]}
        self.posted[place["channel"], place["ts"]] |= request.json
        return place

    def _listing(self, request: Request) -> dict[str, list[dict[str, Any]]]:
        del request
        return {"channels": [{"id": key, "name": name} for name, key in self.channels.items()]}

    def _history(self, request: Request) -> dict[str, list[dict[str, Any]]]:
        channel = request.query["channel"]
        told = [{**text, "ts": ts} for (place, ts), text in self.posted.items() if place == channel]
        return {"messages": told[::-1]}

    def _page(
        self, items_of: Callable[[Request], dict[str, list[dict[str, Any]]]], request: Request
    ) -> dict[str, Any]:
        """Two at a time, so that whoever reads only the first page is found out."""
        ((name, items),) = items_of(request).items()
        begin = int(request.query.get("cursor") or 0)
        after = str(begin + 2) if begin + 2 < len(items) else ""
        return {name: items[begin : begin + 2], "response_metadata": {"next_cursor": after}}


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it was handed over: the envelope and the message."""

    sender: str
    recipients: list[str]
    message: EmailMessage


class SmtpReceiver(Receiver):
    """Takes every mail; `replies`, `hangs` and `cuts` go by the command: MAIL, RCPT or DATA.

    A mail whose DATA hangs or is cut was taken. With `password`, a login must give it; as some
    servers do, the refusal repeats what was given.
    """

    def __init__(self, password: str | None = None) -> None:
        super().__init__()
        self.mails: list[Mail] = []
        self.connections = 0
        self.replies: dict[str, str] = {}
        self.hangs: set[str] = set()
        self.cuts: set[str] = set()
        self._password = password
        self._open: set[SMTP] = set()

    async def listen(self) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(self._protocol, "127.0.0.1", 0)

    async def drop(self) -> None:
        for protocol in self._open:
            if protocol.transport is not None:
                protocol.transport.abort()
        await asyncio.sleep(0)

    def _protocol(self) -> SMTP:
        self.connections += 1
        protocol = SMTP(
            self, authenticator=self._authenticate, auth_require_tls=False, hostname="receiver.test"
        )
        self._open.add(protocol)
        return protocol

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: Any
    ) -> AuthResult:
        del server, session, envelope, mechanism
        given = login.password.decode() if isinstance(login, LoginPassword) else None
        if given == self._password:
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message=f"535 not {given}")

    async def handle_MAIL(  # noqa: N802 (aiosmtpd finds these by their names)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del session, options
        envelope.mail_from = address
        return await self._reply("MAIL", server)

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del session, options
        envelope.rcpt_tos.append(address)
        return await self._reply("RCPT", server)

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del session
        if "DATA" not in self.replies:
            message = message_from_bytes(envelope.content, EmailMessage, policy=default)
            self.mails.append(Mail(envelope.mail_from, envelope.rcpt_tos, message))
        return await self._reply("DATA", server)

    async def _reply(self, command: str, server: SMTP) -> str:
        if command in self.cuts:
            server.transport.abort()
        if command in self.hangs:
            await self.closing.wait()
        return self.replies.get(command, "250 fine")
