"""Plain-text mail over SMTP, one mail per message; the mails about one task form a thread."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar
from unicodedata import category

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
from service.channels.mail_server import (
    MailServer,
    Tls,
    explain_end,
    explain_tls,
    fitting,
    misgivings,
    trust,
    usable,
)
from service.clock import Clock
from service.diagnostics import Issue, Severity
from service.errors import SendError
from service.http.connection_check import ConnectionCheck
from service.http.error_messages import explain_socket

ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(\.[\w-]+)*", re.ASCII)
# Folding a subject into lines takes time that grows with its square.
LONGEST_SUBJECT = 400
LINE_BREAK = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
LINE_BREAKS = re.compile(rf"\s*{LINE_BREAK.pattern}\s*")
# Between addresses; not inside of a name in quotes.
SEPARATOR = re.compile(r"""[;,](?=(?:[^"]*"[^"]*")*[^"]*$)""")
LONGEST_TARGET = 2000
MAILBOX = re.compile(
    r"""(?P<name>[^<>]*)<\s*(?P<named>[^<>\s]+)\s*>
      | (?P<spoken>[^()<>"]*)\((?P<inside>[^()\s]+@[^()\s]+)\)
      | (?P<quote>['"]?)(?P<bare>[^<>"\s()]+)(?P=quote)(?:\s*\([^()]*\))?""",
    re.VERBOSE,
)
BLANK = re.compile(r"[\s/]+")
BARE = re.compile(r"[^@<>()]+@[^@<>()]+")
QUOTES = re.compile(r"""[\\"]+""")
SCHEME = re.compile("mailto:", re.IGNORECASE)
# As keyboards of East Asia write them, and the blank that does not break.
WIDE = str.maketrans({"\uff20": "@", "\uff0c": ",", "\uff1b": ";", "\u3000": " ", "\xa0": " "})
UNSUBSCRIBE = "List-Unsubscribe"


class MailPolicy(EmailPolicy):
    """Writes the link to unsubscribe as it is.

    The library encodes a word that is longer than a line, and mail programs do not decode this one.
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        if name == UNSUBSCRIBE:
            return f"{name}: {value}{self.linesep}".encode()
        return super().fold_binary(name, value)


POLICY = MailPolicy(linesep="\r\n", cte_type="7bit")
FINAL = 500


class EmailOptions(ChannelOptions):
    """`url` is the operator's own mail server; `from` is the sender, with or without a name.

    `tls` is how the connection is encrypted: verify, with a trusted certificate; unverified, with
    any certificate; none, not at all; not given, if the server supports it, and always if a
    password leaves this machine. `ca` is the path to a PEM file: only the certificates in it are
    trusted; not given, those of the operating system.
    """

    url: SecretStr
    sender: str = Field(alias="from")
    tls: Tls | None = None
    ca: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_server(cls, url: SecretStr) -> SecretStr:
        MailServer.parse(url.get_secret_value())
        return url

    @field_validator("sender")
    @classmethod
    def _is_sender(cls, sender: str) -> str:
        if LINE_BREAK.search(sender) or not ADDRESS.fullmatch(parseaddr(sender)[1]):
            raise ValueError("must look like tasks@example.com or Tasks <tasks@example.com>")
        return sender

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

    def __init__(self, options: EmailOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        del client, clock
        self._server = options.server
        self._tls: Tls | None = options.tls or ("verify" if options.ca else None)
        self._ca = options.ca
        self._sender = options.sender
        self._address = parseaddr(options.sender)[1]
        self._domain = self._address.rpartition("@")[2]
        self._timeout = options.timeout.total_seconds()
        self._idle: list[SMTP] = []

    async def send(self, message: Message) -> SentRef:
        recipients = _recipients(message.target)
        mail = self._compose(message, recipients)
        deadline = asyncio.get_running_loop().time() + self._timeout
        async with self._connection(deadline) as smtp:
            async with self._step(f"mail to {message.target}", deadline):
                await smtp.mail(self._address)
                for recipient in recipients:
                    await smtp.rcpt(recipient.addr_spec)
            async with self._step(f"the mail to {message.target}", deadline, handing_over=True):
                await smtp.data(mail.as_bytes())
        return {"message_id": mail["Message-ID"]}

    async def take_back(self, message: Message) -> SentRef:
        return await self.send(message)

    async def probe(self, check: ConnectionCheck) -> None:
        del check
        deadline = asyncio.get_running_loop().time() + self._timeout
        async with self._step("the connection", deadline):
            await (await self._connect()).quit()

    async def close(self) -> None:
        while self._idle:
            smtp = self._idle.pop()
            with suppress(SMTPException):
                await smtp.quit(timeout=self._timeout)

    def _compose(self, message: Message, recipients: Sequence[Address]) -> EmailMessage:
        first_line = message.text.partition("\n")[0]
        subject = first_line if message.subject is None else message.subject
        mail = EmailMessage(policy=POLICY)
        mail["From"] = self._sender
        mail["To"] = recipients
        mail["Subject"] = LINE_BREAKS.sub(" ", subject).strip()[:LONGEST_SUBJECT]
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.key}@{self._domain}>"
        if message.task_id:
            thread, answered = self._thread(message), (message.receipt or {}).get("message_id")
            mail["In-Reply-To"] = answered or thread
            mail["References"] = f"{thread} {answered}" if answered else thread
        mail["Auto-Submitted"] = "auto-generated"
        if message.unsubscribe is not None:
            mail[UNSUBSCRIBE] = f"<{message.unsubscribe}>"
            if message.unsubscribe.startswith("https:"):  # RFC 8058 wants no other
                mail[f"{UNSUBSCRIBE}-Post"] = f"{UNSUBSCRIBE}=One-Click"
        mail.set_content(message.text)
        return mail

    def _thread(self, message: Message) -> str:
        """The id of a mail that was never sent, to which all mails about a task are replies."""
        task = f"{message.account}/{message.task_id}".encode()
        return f"<task-{blake2b(task, digest_size=12).hexdigest()}@{self._domain}>"

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
            local_hostname=self._domain,
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
                f"{host} refused the login ({error.code})",
                permanent=error.code >= FINAL,
                status=error.code,
            ) from None
        except SMTPResponseException as error:
            raise SendError(
                f"{host} refused {what}: {error.code} {_line(error.message)}",
                permanent=error.code >= FINAL,
                status=error.code,
            ) from error
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


def _recipients(target: str) -> list[Address]:
    """The recipients of a mail: addresses with or without names, separated by commas or semicolons.

    Raises SendError with the part that is not an address.
    """
    if len(target) > LONGEST_TARGET:
        raise SendError(f"{target[:40]!r}… are too many addresses for one mail", permanent=True)
    written = _parted("".join(c for c in target if category(c) != "Cf").translate(WIDE))
    found = {address.addr_spec.lower(): address for address in map(_recipient, written)}
    if not found:
        raise SendError(f"{target!r} is not an email address", permanent=True)
    return list(found.values())


def _parted(target: str) -> list[str]:
    """The parts between separators; the comma in `Reed, Bo <bo@x.test>` is not a separator.

    A blank or a slash is one between addresses without names.
    """
    parts: list[str] = []
    for part in SEPARATOR.split(target):
        bare = BLANK.split(part.strip())
        if len(bare) > 1 and all(BARE.fullmatch(one) for one in bare):
            parts += bare
        elif parts and "@" not in parts[-1] and "<" in part and '"' not in part:
            parts[-1] += f", {part.strip()}"
        elif part.strip():
            parts.append(part.strip())
    return parts


def _recipient(written: str) -> Address:
    """One address, with or without a name or a comment."""
    found = MAILBOX.fullmatch(SCHEME.sub("", written, count=1))
    name, address = "", ""
    if found:
        name = found["name"] or found["spoken"] or ""
        address = (found["named"] or found["inside"] or found["bare"]).removesuffix(".")
    spoken = in_ascii(SCHEME.sub("", address))
    if spoken is None or LINE_BREAK.search(name):
        raise SendError(f"{written.strip()!r} is not an email address", permanent=True)
    local, _, domain = spoken.rpartition("@")
    return Address(" ".join(QUOTES.sub(" ", name).split()), local, domain)


def in_ascii(address: str) -> str | None:
    """An address with its domain in ASCII, as mail servers use it; None if it is not an address."""
    local, _, domain = address.rpartition("@")
    try:
        spoken = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return None
    return spoken if ADDRESS.fullmatch(spoken) else None


def _line(answer: str) -> str:
    """A server's reply, in a form that can be stored and shown."""
    line = " ".join(answer.split())[:200]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
