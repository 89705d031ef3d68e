"""The demo's inbox for mails and webhooks: stores and shows them."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.clock import Clock
from service.sandbox.system import System


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it was received: the envelope and the message."""

    at: datetime
    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as it was received; header names are in lower case."""

    at: datetime
    name: str
    headers: dict[str, str]
    body: bytes


class Inbox(System):
    """A mail server and a webhook receiver that accept everything."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.mails: list[Mail] = []
        self.hooks: list[Hook] = []
        self.smtp_port: int | None = None
        self._server: asyncio.Server | None = None
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def routes(self) -> list[Route]:
        return [Route("/hooks/{name}", self._receive, methods=["POST"])]

    async def listen(self, port: int = 0) -> None:
        """Receive mail on 127.0.0.1 at `smtp_port`; for 0 the operating system chooses it."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.smtp_port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._talks.values():
            writer.transport.abort()
        await asyncio.gather(*self._talks)

    async def _receive(self, request: Request) -> Response:
        headers = dict(request.headers)
        name, body = request.path_params["name"], await request.body()
        self.hooks.append(Hook(self.clock.now(), name, headers, body))
        return Response(status_code=204)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._converse(reader, writer))
        self._talks[talk] = writer
        talk.add_done_callback(self._talks.pop)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = SmtpTalk(self)
        try:
            writer.write(b"220 inbox.test ready\r\n")
            while not talk.is_over:
                line = await reader.readuntil(b"\r\n")
                writer.write(
                    await talk.answer(line.decode(errors="replace").strip(), reader, writer)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class SmtpTalk:
    """One SMTP session: the part of RFC 5321 that a sender without login needs."""

    def __init__(self, inbox: Inbox) -> None:
        self.is_over = False
        self._inbox = inbox
        self._sender = ""
        self._recipients: list[str] = []

    async def answer(
        self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        match line[:4].upper():
            case "EHLO":
                return b"250-inbox.test\r\n250 8BITMIME\r\n"
            case "MAIL":
                self._sender, self._recipients = _address(line), []
            case "RCPT":
                self._recipients.append(_address(line))
            case "DATA":
                writer.write(b"354 go on\r\n")
                self._keep(await reader.readuntil(b"\r\n.\r\n"))
            case "QUIT":
                self.is_over = True
                return b"221 bye\r\n"
            case "HELO" | "RSET" | "NOOP":
                pass
            case _:
                return b"502 not here\r\n"
        return b"250 fine\r\n"

    def _keep(self, content: bytes) -> None:
        text = content.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
        message: Any = message_from_bytes(text, EmailMessage, policy=default)
        now = self._inbox.clock.now()
        self._inbox.mails.append(Mail(now, self._sender, tuple(self._recipients), message))


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
