"""A mail server on 127.0.0.1 that keeps what it is given and fails on demand."""

import asyncio
import ssl
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.harness.receivers import Receiver


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it was handed over: the envelope and the message, and whether by TLS."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool = False
    raw: bytes = b""

    @property
    def text(self) -> str:
        """The plain text of it."""
        return self._content("plain")

    @property
    def html(self) -> str:
        return self._content("html")

    def _content(self, form: str) -> str:
        body = self.message.get_body((form,))
        return "" if body is None else str(body.get_content()).replace("\r\n", "\n")


class SmtpReceiver(Receiver):
    """Takes every mail; `replies`, `hangs` and `cuts` go by the command: MAIL, RCPT or DATA.

    A mail whose DATA hangs or is cut was taken. With `password`, a login must give it; as some
    servers do, the refusal repeats what was given. With `tls` it offers STARTTLS; with `at_once`
    it speaks TLS from the beginning. `utf8` and `most` are its SMTPUTF8 and SIZE. A reply to
    RCPT may be for one address: `replies["RCPT bo@x.test"]`.
    """

    def __init__(
        self,
        password: str | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        at_once: bool = False,
        utf8: bool = False,
        most: int | None = None,
    ) -> None:
        super().__init__()
        self._tls = tls
        self._at_once = at_once
        self.mails: list[Mail] = []
        self.connections = 0
        self.replies: dict[str, str] = {}
        self.hangs: set[str] = set()
        self.cuts: set[str] = set()
        self._password = password
        self._utf8 = utf8
        self._most = most
        self._open: set[SMTP] = set()

    async def listen(self) -> asyncio.Server:
        tls = self._tls if self._at_once else None
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._protocol, "127.0.0.1", 0, ssl=tls)

    async def drop(self) -> None:
        for protocol in self._open:
            if protocol.transport is not None:
                protocol.transport.abort()
        await asyncio.sleep(0)

    def _protocol(self) -> SMTP:
        self.connections += 1
        protocol = SMTP(
            self,
            authenticator=self._authenticate,
            auth_require_tls=False,
            hostname="receiver.test",
            enable_SMTPUTF8=self._utf8,
            data_size_limit=self._most,
            tls_context=None if self._at_once else self._tls,
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
        reply = await self._reply("RCPT", server)
        reply = self.replies.get(f"RCPT {address}", reply)
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del session
        if "DATA" not in self.replies:
            message = message_from_bytes(envelope.content, EmailMessage, policy=default)
            encrypted = server.transport.get_extra_info("sslcontext") is not None
            mail = Mail(envelope.mail_from, envelope.rcpt_tos, message, encrypted, envelope.content)
            self.mails.append(mail)
        return await self._reply("DATA", server)

    async def _reply(self, command: str, server: SMTP) -> str:
        if command in self.cuts:
            server.transport.abort()
        if command in self.hangs:
            await self.closing.wait()
        return self.replies.get(command, "250 fine")
