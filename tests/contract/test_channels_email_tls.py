"""How mail gets to its server unread: encryption, certificates of the server's own, and errors."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.channels import Channel
from service.channels.email import EmailOptions
from service.channels.email.server import MailServer
from service.clock import VirtualClock
from service.errors import SendError
from service.http.client import open_client
from tests.contract.channel_rigs import EmailRig, configured
from tests.harness.certificates import Certificate, made_for
from tests.harness.receivers import LOOPBACK
from tests.harness.smtp_receiver import SmtpReceiver

MESSAGE = EmailRig.message
PASSWORD = "p@ss"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return made_for(tmp_path, "127.0.0.1")


@pytest.fixture
async def smtp(certificate: Certificate) -> AsyncIterator[SmtpReceiver]:
    """As Debian's Postfix: it offers STARTTLS, with a certificate of its own."""
    async with SmtpReceiver(PASSWORD, tls=certificate.server) as receiver:
        yield receiver


@asynccontextmanager
async def mail_to(
    receiver: SmtpReceiver, *, scheme: str = "smtp", login: str = "", **given: Any
) -> AsyncIterator[Channel]:
    async with open_client(LOOPBACK) as client:
        url = f"{scheme}://{login}127.0.0.1:{receiver.port}"
        options = {"url": url, "from": "tasks@x.test", "timeout": timedelta(seconds=5), **given}
        channel = configured("email", client, VirtualClock(MESSAGE.at), **options)
        yield channel
        await channel.close()


@pytest.mark.parametrize("given", [{}, {"tls": "verify"}])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(
    certificate: Certificate, scheme: str, given: dict[str, str]
) -> None:
    """The error says so, and names the two keys that help."""
    async with (
        SmtpReceiver(tls=certificate.server, at_once=scheme == "smtps") as receiver,
        mail_to(receiver, scheme=scheme, **given) as channel,
    ):
        with pytest.raises(SendError, match=r"certificate of 127\.0\.0\.1 is not valid") as caught:
            await channel.send(MESSAGE)
    assert "ca:" in str(caught.value)
    assert "tls: unverified" in str(caught.value)
    assert receiver.mails == []


@pytest.mark.parametrize("login", ["", f"bell:{PASSWORD}@"])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_servers_own_certificate_is_named(
    certificate: Certificate, scheme: str, login: str
) -> None:
    """With `ca` it is trusted, in both ways to encrypt."""
    at_once = scheme == "smtps"
    async with (
        SmtpReceiver(PASSWORD, tls=certificate.server, at_once=at_once) as receiver,
        mail_to(receiver, scheme=scheme, login=login, ca=certificate.pem) as channel,
    ):
        await channel.send(MESSAGE)
    assert [mail.encrypted for mail in receiver.mails] == [True]


async def test_a_servers_certificate_stands_for_itself(tmp_path: Path) -> None:
    """Whoever signed it: the file need not have the authority's as well."""
    signed = made_for(tmp_path, "127.0.0.1", by="An authority")
    async with (
        SmtpReceiver(tls=signed.server) as receiver,
        mail_to(receiver, ca=signed.pem) as channel,
    ):
        await channel.send(MESSAGE)
    assert len(receiver.mails) == 1


async def test_a_renewed_certificate_needs_no_restart(
    certificate: Certificate, tmp_path: Path
) -> None:
    """The file is read again for the next connection."""
    (tmp_path / "next").mkdir()
    following = made_for(tmp_path / "next", "127.0.0.1")
    async with (
        SmtpReceiver(tls=following.server) as receiver,
        mail_to(receiver, ca=certificate.pem) as channel,
    ):
        with pytest.raises(SendError, match=r"and not by .*127\.0\.0\.1\.pem"):
            await channel.send(MESSAGE)
        certificate.pem.write_bytes(following.pem.read_bytes())
        await channel.send(MESSAGE)
        certificate.pem.unlink()
        await channel.close()
        with pytest.raises(SendError, match="cannot be read: No such file"):
            await channel.send(MESSAGE)
    assert len(receiver.mails) == 1


async def test_unverified_takes_any_certificate(tmp_path: Path) -> None:
    """One for another name, long past its time, is encryption all the same."""
    other = made_for(tmp_path, "other.test", since=timedelta(days=900))
    async with (
        SmtpReceiver(tls=other.server) as receiver,
        mail_to(receiver, tls="unverified") as channel,
    ):
        await channel.send(MESSAGE)
    assert [mail.encrypted for mail in receiver.mails] == [True]


async def test_none_is_plain(smtp: SmtpReceiver) -> None:
    """Encryption that is offered is left alone, and its certificate with it."""
    async with mail_to(smtp, tls="none", login=f"bell:{PASSWORD}@") as channel:
        await channel.send(MESSAGE)
    assert [mail.encrypted for mail in smtp.mails] == [False]


@pytest.mark.parametrize("key", ["tls: verify", "tls: unverified", "ca"])
async def test_encryption_that_was_asked_for_is_insisted_on(
    certificate: Certificate, key: str
) -> None:
    """Nobody in between can take the offer away and read along."""
    given = {"ca": certificate.pem} if key == "ca" else {"tls": key.removeprefix("tls: ")}
    async with SmtpReceiver() as receiver, mail_to(receiver, **given) as channel:
        with pytest.raises(SendError, match=r"offers no encryption .*smtps://.*tls: none"):
            await channel.send(MESSAGE)
    assert receiver.mails == []


async def test_without_a_word_mail_goes_as_the_server_has_it() -> None:
    """As ever: a server of this machine that offers nothing is sent to in the clear."""
    async with SmtpReceiver() as receiver, mail_to(receiver) as channel:
        await channel.send(MESSAGE)
    assert len(receiver.mails) == 1


@pytest.mark.parametrize(
    ("name", "since", "said"),
    [
        (
            "other.test",
            timedelta(),
            "Write the name in the certificate into url:, or tls: unverified",
        ),
        ("127.0.0.1", timedelta(days=900), "has expired; renew it, or write tls: unverified"),
    ],
)
async def test_what_is_wrong_with_a_known_certificate(
    tmp_path: Path, name: str, since: timedelta, said: str
) -> None:
    """A name that is not the server's and a time that is over want other remedies."""
    made = made_for(tmp_path, name, since=since)
    async with (
        SmtpReceiver(tls=made.server) as receiver,
        mail_to(receiver, ca=made.pem) as channel,
    ):
        with pytest.raises(SendError, match=said):
            await channel.send(MESSAGE)


async def test_smtps_where_nobody_speaks_it(smtp: SmtpReceiver) -> None:
    """The port for smtp:// is the usual mistake."""
    async with mail_to(smtp, scheme="smtps") as channel:
        with pytest.raises(SendError, match="; try smtp:// or another port"):
            await channel.send(MESSAGE)


def test_a_password_travels_encrypted() -> None:
    """STARTTLS is insisted on when there is a login and the server is another machine."""
    assert MailServer.parse("smtp://u:p@mail.test").start_tls(None) is True
    assert MailServer.parse("smtps://u:p@mail.test").start_tls(None) is None
    assert MailServer.parse("smtp://mail.test").start_tls(None) is None
    assert MailServer.parse("smtp://u:p@127.0.0.1:2525").start_tls(None) is None


def options(**given: Any) -> EmailOptions:
    return EmailOptions.model_validate(
        {"name": "m", "kind": "email", "from": "a@b.test", "url": "smtp://mail.test", **given}
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "smtp://u:hidden@mail.test", "tls": "none"}, "others on the network can read it"),
        (
            {"url": "smtp://u:hidden@10.0.0.7:25", "tls": "none"},
            "others on the network can read it",
        ),
        ({"url": "smtps://mail.test", "tls": "none"}, "smtps:// is always encrypted"),
        ({"tls": "off"}, "'verify', 'unverified' or 'none'"),
        ({"ca": "mail.pem"}, "whole path"),
        ({"ca": "/no/such.pem"}, "there is no such file"),
        ({"ca": "/dev/zero"}, "it is a device, not a file"),
        ({"ca": "/dev/null"}, "it is a device, not a file"),
        ({"ca": "/"}, "Is a directory"),
        ({"ca": "/mail\0.pem"}, "the name is not valid"),
        ({"ca": __file__}, "has no certificate in it"),
        ({"ca": __file__, "tls": "unverified"}, "no effect with tls: unverified"),
        ({"ca": __file__, "tls": "none"}, "no effect with tls: none"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, str], said: str) -> None:
    """Before anything runs, and without the password."""
    with pytest.raises(ValidationError, match=said) as caught:
        options(**given)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({"tls": "unverified"}, ["with tls: unverified an impostor could receive the mails"]),
        (
            {"url": "smtps://u:p@mail.test", "tls": "unverified"},
            ["with tls: unverified an impostor could receive the password and the mails"],
        ),
        (
            {"tls": "none"},
            ["the mails are sent unencrypted and others on the network can read them"],
        ),
        ({"url": "smtp://u:p@127.0.0.2:25", "tls": "none"}, []),
        ({"url": "smtp://u:p@mail.test", "tls": "verify"}, []),
        ({"url": "smtp://mail.test"}, []),
    ],
)
def test_what_gives_mails_away_is_warned_of(given: dict[str, str], warned: list[str]) -> None:
    """What leaves this machine in plain, or to whoever answers."""
    assert [one.message for one in options(**given).warnings()] == warned


def test_certificates_of_the_system_are_still_good(tmp_path: Path) -> None:
    """A file with many authorities is one that `ca` takes."""
    bundle = tmp_path / "bundle.pem"
    pems = [made_for(tmp_path, f"{n}.test").pem.read_text() for n in range(3)]
    bundle.write_text("# Größe\n".join(pems), encoding="utf-8")
    assert options(ca=str(bundle)).ca == bundle
    assert ssl.create_default_context(cafile=bundle).cert_store_stats()["x509"] == 3


def test_a_bundle_is_a_file_of_bounded_size(tmp_path: Path) -> None:
    """Nobody waits for a pipe; a log in its place is not read; and nothing is not everybody."""
    pipe, log, empty = tmp_path / "pipe", tmp_path / "log", tmp_path / "empty"
    os.mkfifo(pipe)
    with log.open("wb") as made:
        made.truncate(2**40)
    empty.touch()
    for path, said in (
        (pipe, "it is a pipe"),
        (log, "too large for certificates"),
        (empty, "has no certificate in it"),
    ):
        with pytest.raises(ValidationError, match=said):
            options(ca=str(path))


async def test_a_pipe_in_place_of_a_bundle_keeps_nobody_waiting(
    certificate: Certificate,
) -> None:
    """Also where it came there after the configuration was read."""
    async with (
        SmtpReceiver(tls=certificate.server) as receiver,
        mail_to(receiver, ca=certificate.pem) as channel,
    ):
        certificate.pem.unlink()
        os.mkfifo(certificate.pem)
        with pytest.raises(SendError, match="it is a pipe"):
            await asyncio.wait_for(channel.send(MESSAGE), 5)
