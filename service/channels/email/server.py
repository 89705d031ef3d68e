"""SMTP server address and TLS settings."""

import asyncio
import errno
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, Self, TypeAlias
from urllib.parse import unquote, urlsplit

from service.diagnostics import refused
from service.errors import SendError
from service.http import NO_HOST, can_be_looked_up
from service.http.error_messages import explain_socket
from service.regular_file import read_regular
from service.settings import is_loopback

# verify: encrypted, by a certificate that is trusted and has the server's name; unverified:
# encrypted, by any; none: not encrypted. Not given: as `Server.start_tls` says.
Tls: TypeAlias = Literal["verify", "unverified", "none"]

LARGEST_BUNDLE = 2_000_000
# https://docs.openssl.org/master/man1/openssl-verification-options/ and its list of errors.
NO_STARTTLS = "STARTTLS extension not supported"  # as aiosmtplib says it
EXPIRED, OTHER_HOST, OTHER_ADDRESS = 10, 62, 64


class MailServer(NamedTuple):
    """An SMTP server; without a `user` there is no login."""

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse `smtp://user:password@host:port`, or smtps://; the password may be unescaped.

        Without a port: 465 for smtps, 587 with a login, else 25. Raises ValueError, whose text does
        not quote the address.
        """
        scheme, _, rest = url.partition("://")
        login, _, place = rest.rpartition("@")
        user, _, password = login.partition(":")
        try:
            parts = urlsplit(f"//{place}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if scheme not in {"smtp", "smtps"} or not host:
            raise ValueError("must look like smtp://user:password@host:587 or smtps://…")
        if not can_be_looked_up(host):
            raise ValueError(NO_HOST)
        usual = 465 if scheme == "smtps" else 587 if user else 25
        return cls(host, port or usual, scheme == "smtps", unquote(user), unquote(password))

    @property
    def place(self) -> str:
        """The host and its port, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether mail for it does not leave this machine."""
        return is_loopback(self.host)

    def start_tls(self, tls: Tls | None) -> bool | None:
        """Whether to use STARTTLS; None: if the server offers it.

        Without a setting, a password is not sent to another machine without TLS.
        """
        if self.tls:
            return None
        if tls is None:
            return True if self.user and not self.is_here else None
        return tls != "none"


def fitting(tls: Tls | None, server: MailServer) -> Tls | None:
    """Raise ValueError for settings that contradict the server's address or expose its password."""
    if tls == "none" and server.tls:
        raise refused("smtps:// is always encrypted; tls: none contradicts it", "write smtp://")
    if tls == "none" and server.user and not server.is_here:
        message = (
            "with tls: none, the password is sent unencrypted and others on the network can read it"
        )
        raise refused(
            message, "write tls: verify or unverified; ca: sets a certificate of the server's own"
        )
    return tls


def usable(ca: Path, tls: Tls | None) -> Path:
    """Raise ValueError for a file without certificates, or one that would not be used."""
    if tls in {"unverified", "none"}:
        raise refused(f"ca: has no effect with tls: {tls}, because no certificate is checked")
    if not ca.is_absolute():
        raise refused("ca must be the whole path to a PEM file, such as /etc/ssl/mail.pem")
    try:
        _trust_only(ca)
    except ssl.SSLError:
        hint = "it must be a PEM file: BEGIN CERTIFICATE …"
        raise refused("the file has no certificate in it", hint) from None
    except FileNotFoundError:
        raise refused("there is no such file") from None
    except OSError as error:
        raise refused(f"the file cannot be read: {error.strerror}") from None
    return ca


def misgivings(server: MailServer, tls: Tls | None) -> Iterator[tuple[str, str]]:
    """Allowed settings that expose mails to others, each with a suggestion."""
    given = "the password and the mails" if server.user else "the mails"
    if tls == "unverified":
        message = f"with tls: unverified an impostor could receive {given}"
        yield message, "remove tls:, and set the server's own certificate with ca:"
    if tls == "none" and not server.is_here:
        message = "the mails are sent unencrypted and others on the network can read them"
        yield message, "remove tls:, or write tls: verify"


async def trust(tls: Tls | None, ca: Path | None) -> ssl.SSLContext | None:
    """How to verify the server's certificate; None: in the default way.

    The file is read again each time, so that a new certificate needs no restart. Raises SendError.
    """
    if tls == "unverified":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return None if ca is None else await asyncio.to_thread(_trust_only, ca)
    except OSError as error:
        raise SendError(f"ca: {ca} cannot be read: {error.strerror}") from error


def _trust_only(ca: Path) -> ssl.SSLContext:
    """Trust the certificates in a file, even those that are not a CA's; and no others."""
    found = read_regular(ca, LARGEST_BUNDLE + 1)
    if len(found) > LARGEST_BUNDLE:
        raise OSError(errno.EFBIG, "it is too large for certificates", str(ca))
    # What stands around certificates is in any encoding. With nothing all authorities are trusted.
    context = ssl.create_default_context(cadata=found.decode("ascii", "ignore") or " ")
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # What people sign themselves lacks extensions that Python 3.13 and later insist on.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def explain_tls(error: ssl.SSLError, server: MailServer, ca: Path | None) -> str:
    """Why there is no TLS connection to the server, and what to configure."""
    said = explain_socket(error, server.place)
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"{said}; try smtp:// or another port" if server.tls else said
    if error.verify_code == EXPIRED:
        return f"{said}; renew it, or write tls: unverified"
    if error.verify_code in {OTHER_HOST, OTHER_ADDRESS}:
        return f"{said} Write the name in the certificate into url:, or tls: unverified"
    if ca is not None:
        return f"{said}, and not by {ca}; set its certificate with ca:, or write tls: unverified"
    return f"{said}; set it with ca: (a PEM) if it is the server's own, or write tls: unverified"


def explain_end(error: Exception, server: MailServer, what: str) -> str:
    """Why the server closed the connection during this step."""
    if NO_STARTTLS not in str(error):
        return f"{server.host} broke off at {what}: {str(error) or 'no answer in time'}"
    said = f"{server.place} offers no encryption (STARTTLS): try smtps:// with its own port"
    return said if server.user and not server.is_here else f"{said}, or tls: none"
