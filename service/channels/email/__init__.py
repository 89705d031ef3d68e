"""Mail over SMTP, one mail per message; the mails about one task form a thread."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import httpx
from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPResponseException,
)
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from service.channels import ChannelOptions, ConfiguredChannel, Message, SentRef
from service.channels.email import html, invitation
from service.channels.email.addresses import mailbox, needs_utf8, recipients
from service.channels.email.policy import POLICY, UNSUBSCRIBE
from service.channels.email.replies import FINAL, name_recipients, not_all, refusal
from service.channels.email.server import (
    MailServer,
    Tls,
    explain_end,
    explain_tls,
    fitting,
    misgivings,
    trust,
    usable,
)
from service.channels.text_fitting import one_line
from service.clock import Clock
from service.diagnostics import Issue, Severity
from service.errors import SendError
from service.http.connection_check import ConnectionCheck
from service.http.error_messages import explain_socket
from service.http.json_body import aside

# Folding a subject into lines takes time that grows with its square.
LONGEST_SUBJECT = 400
BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
UTF8 = ("SMTPUTF8", "BODY=8BITMIME")


class EmailOptions(ChannelOptions):
    """`url` is the operator's own mail server; `from` is the sender, with or without a name.

    `reply_to` is the address to which answers go; not given, they go to the sender.
    `tls` is how the connection is encrypted: verify, with a trusted certificate; unverified, with
    any certificate; none, not at all; not given, if the server supports it, and always if a
    password leaves this machine. `ca` is the path to a PEM file: only the certificates in it are
    trusted; not given, those of the operating system.
    """

    url: SecretStr
    sender: str = Field(alias="from")
    reply_to: str | None = None
    tls: Tls | None = None
    ca: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_server(cls, url: SecretStr) -> SecretStr:
        MailServer.parse(url.get_secret_value())
        return url

    @field_validator("sender", "reply_to")
    @classmethod
    def _is_mailbox(cls, written: str | None) -> str | None:
        try:
            return written and str(mailbox(written))
        except SendError:
            wanted = "must look like tasks@example.com or Tasks <tasks@example.com>"
            raise ValueError(wanted) from None

    @field_validator("tls")
    @classmethod
    def _fits_the_server(cls, tls: Tls | None, info: ValidationInfo) -> Tls | None:
        url = info.data.get("url")
        return tls if url is None else fitting(tls, MailServer.parse(url.get_secret_value()))

    @field_validator("ca")
    @classmethod
    def _is_usable(cls, ca: Path | None, info: ValidationInfo) -> Path | None:
        return None if ca is None else usable(ca, info.data.get("tls"))

    @property
    def server(self) -> MailServer:
        """The mail server."""
        return MailServer.parse(self.url.get_secret_value())

    def warnings(self) -> Iterator[Issue]:
        for message, hint in misgivings(self.server, self.tls):
            yield Issue(("tls",), message, hint, severity=Severity.WARNING)


class EmailChannel(ConfiguredChannel):
    """Sends mail to one SMTP server, over connections that are reused."""

    options: ClassVar[type[ChannelOptions]] = EmailOptions
    undoes: ClassVar[frozenset[str]] = frozenset({"thread"})
    attaches: ClassVar[frozenset[str]] = frozenset({invitation.VISIT})

    @classmethod
    def target_problem(cls, target: str) -> str | None:
        try:
            recipients(target)
        except SendError as error:
            return str(error)
        return None

    def __init__(self, options: EmailOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        del client, clock
        self._server = options.server
        self._tls: Tls | None = options.tls or ("verify" if options.ca else None)
        self._ca = options.ca
        self._sender = mailbox(options.sender)
        self._reply_to = mailbox(options.reply_to) if options.reply_to else None
        self._timeout = options.timeout.total_seconds()
        self._idle: list[SMTP] = []

    async def send(self, message: Message) -> SentRef:
        receivers = recipients(message.target)
        mail, lacks = await self._compose(message, receivers)
        deadline = asyncio.get_running_loop().time() + self._timeout
        async with self._connection(deadline) as smtp:
            async with self._step(f"mail to {message.target}", deadline):
                content, options = self._encoded(mail, receivers, smtp)
                encoding = "utf-8" if UTF8[0] in options else "ascii"
                await smtp.mail(self._sender.addr_spec, options=options, encoding=encoding)
                said = await name_recipients(smtp, receivers, encoding, message.progress)
                if not said.is_wanted:
                    await smtp.rset()
            if said.is_wanted:
                async with self._step(f"the mail to {message.target}", deadline, handing_over=True):
                    await smtp.data(content)
        if said.later is not None:
            raise not_all(said, said.later, self._server.host, receivers)
        note = "; ".join(filter(None, (lacks, *said.refused)))
        return {"message_id": mail["Message-ID"], **({"note": note} if note else {})}

    async def take_back(self, message: Message) -> SentRef:
        return await self.send(message)

    async def probe(self, check: ConnectionCheck) -> None:
        del check
        deadline = asyncio.get_running_loop().time() + self._timeout
        async with self._step("the connection", deadline):
            smtp = await self._connect()
        try:
            async with self._step(f"mail from {self._sender.addr_spec}", deadline):
                await smtp.mail(self._sender.addr_spec)
                await smtp.rset()
                await smtp.quit()
        finally:
            smtp.close()

    async def close(self) -> None:
        while self._idle:
            smtp = self._idle.pop()
            with suppress(SMTPException):
                await smtp.quit(timeout=self._timeout)

    async def _compose(
        self, message: Message, receivers: Sequence[Address]
    ) -> tuple[EmailMessage, str | None]:
        """The mail, and what it lacks that should be with it."""
        title, text, markup = message.subject, message.text, message.markup
        if title is None:
            title = await aside(len(text), html.first_line, text, markup)
        title = one_line(BLANKS.sub(" ", title), LONGEST_SUBJECT)
        mail = self._addressed(message, title, receivers)
        mail.set_content(text)
        content = await aside(len(text), html.page, title, text, markup)
        mail.add_alternative(content, subtype="html")
        if message.attach is None:
            return mail, None
        organizer = self._reply_to or self._sender
        why = invitation.attach(mail, message, self._about(message), organizer, receivers)
        return mail, why and f"sent without an invitation to the visit: {why}"

    def _addressed(
        self, message: Message, subject: str, receivers: Sequence[Address]
    ) -> EmailMessage:
        mail = EmailMessage(policy=POLICY.clone(utf8=needs_utf8([*receivers, self._sender])))
        mail["From"] = self._sender
        mail["To"] = receivers
        if self._reply_to is not None:
            mail["Reply-To"] = self._reply_to
        mail["Subject"] = subject
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.key}@{self._sender.domain}>"
        if message.task_id:
            thread, answered = self._thread(message), (message.receipt or {}).get("message_id")
            mail["In-Reply-To"] = answered or thread
            mail["References"] = f"{thread} {answered}" if answered else thread
        mail["Auto-Submitted"] = "auto-generated"
        if message.unsubscribe is not None:
            mail[UNSUBSCRIBE] = f"<{message.unsubscribe}>"
            if message.unsubscribe.startswith("https:"):  # RFC 8058 wants no other
                mail[f"{UNSUBSCRIBE}-Post"] = f"{UNSUBSCRIBE}=One-Click"
        return mail

    def _encoded(
        self, mail: EmailMessage, receivers: Sequence[Address], smtp: SMTP
    ) -> tuple[bytes, list[str]]:
        """The mail as it is handed over, and the options of MAIL; raises SendError."""
        host, content, options = self._server.host, mail.as_bytes(), list[str]()
        if needs_utf8([*receivers, self._sender]):
            if not smtp.supports_extension("smtputf8"):
                told = ", ".join(one.addr_spec for one in receivers if not one.username.isascii())
                raise SendError(
                    f"{host} takes no addresses with such letters before the @ (SMTPUTF8): {told}",
                    permanent=True,
                )
            options += UTF8
        if smtp.supports_extension("size"):
            most = smtp.esmtp_extensions["size"]
            if most.isdecimal() and 0 < int(most) < len(content):
                said = f"the mail is too large for {host}: {len(content)} bytes, at most {most}"
                raise SendError(said, permanent=True)
            options.append(f"SIZE={len(content)}")
        return content, options

    def _about(self, message: Message) -> str:
        """The same for all mails about a task."""
        task = f"{message.account}/{message.task_id}".encode()
        return f"task-{blake2b(task, digest_size=12).hexdigest()}@{self._sender.domain}"

    def _thread(self, message: Message) -> str:
        """The id of a mail that was never sent, to which all mails about a task are replies."""
        return f"<{self._about(message)}>"

    @asynccontextmanager
    async def _connection(self, deadline: float) -> AsyncIterator[SMTP]:
        """A connection, kept afterwards unless an error occurred on it."""
        async with self._step("the connection", deadline):
            smtp = self._kept() or await self._connect()
        try:
            yield smtp
            self._idle.append(smtp)
        finally:
            if smtp not in self._idle:
                smtp.close()

    def _kept(self) -> SMTP | None:
        self._idle = [smtp for smtp in self._idle if smtp.is_connected]
        return self._idle.pop() if self._idle else None

    async def _connect(self) -> SMTP:
        server = self._server
        smtp = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password or None,
            use_tls=server.tls,
            start_tls=server.start_tls(self._tls),
            tls_context=await trust(self._tls, self._ca),
            local_hostname=self._sender.domain,
            timeout=None,
        )
        await smtp.connect()
        return smtp

    @asynccontextmanager
    async def _step(
        self, what: str, deadline: float, *, handing_over: bool = False
    ) -> AsyncIterator[None]:
        """Turn errors into SendError; a mail whose transfer was interrupted may have arrived."""
        host = self._server.host
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except SMTPAuthenticationError as error:
            # Nothing of the answer is quoted: some servers repeat what they were given.
            raise SendError(
                f"{host} refused the login ({error.code}): check the user and the password in url:;"
                " some servers want a password made for apps",
                permanent=error.code >= FINAL,
                status=error.code,
            ) from None
        except SMTPResponseException as error:
            raise refusal(error, host, what) from error
        except SMTPConnectError as error:
            raise SendError(self._unreached(error)) from error
        except ssl.SSLError as error:
            raise SendError(explain_tls(error, self._server, self._ca)) from error
        except (SMTPException, OSError) as error:
            said = explain_end(error, self._server, what)
            raise SendError(said, outcome_unknown=handing_over) from error

    def _unreached(self, error: SMTPConnectError) -> str:
        place, cause = self._server.place, error.__cause__
        if isinstance(cause, ssl.SSLError):
            return explain_tls(cause, self._server, self._ca)
        return (
            explain_socket(cause, place)
            if isinstance(cause, OSError)
            else f"{place} closed the connection"
        )
