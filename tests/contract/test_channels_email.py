"""Mail: what it looks like, what a mail server's answers mean, and how connections are kept."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from traceback import format_exception

import httpx
import pytest
from pydantic import ValidationError

from service.channels import Channel, Message
from service.channels.email import EmailOptions
from service.channels.email.server import MailServer
from service.clock import VirtualClock
from service.errors import SendError
from service.http.client import open_client
from service.http.connection_check import check_connection
from tests.contract.channel_rigs import EmailRig, configured, opened
from tests.harness.receivers import LOOPBACK, Receiver
from tests.harness.smtp_receiver import SmtpReceiver

MIB = 1024 * 1024
MESSAGE = EmailRig.message


@pytest.fixture
def rig() -> EmailRig:
    return EmailRig()


@pytest.fixture
def smtp(rig: EmailRig) -> SmtpReceiver:
    return rig.receiver


@pytest.fixture
async def channel(rig: EmailRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


async def test_a_mail_says_what_it_is(smtp: SmtpReceiver, channel: Channel) -> None:
    """Sender, recipient, subject, date and text are as asked, in any script."""
    await channel.send(replace(MESSAGE, subject="Überfällig ✅", text="Größe\n.\nzuletzt"))
    (mail,) = smtp.mails
    assert (mail.sender, mail.recipients) == ("tasks@example.com", ["bo@x.test"])
    assert mail.message["From"] == "Tasks <tasks@example.com>"
    assert mail.message["To"] == "bo@x.test"
    assert mail.message["Subject"] == "Überfällig ✅"
    assert mail.message["Date"].datetime == MESSAGE.at
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message.get_content_type() == "multipart/alternative"
    assert mail.text.splitlines() == ["Größe", ".", "zuletzt"]
    assert "Größe<br />\n.<br />\nzuletzt</p>" in mail.html


@pytest.mark.parametrize(
    ("target", "told", "shown"),
    [
        ("bo@bücher.test", ["bo@xn--bcher-kva.test"], "bo@xn--bcher-kva.test"),
        ("Bo <bo@STRAẞE.test>", ["bo@xn--strae-oqa.test"], "Bo <bo@xn--strae-oqa.test>"),
        ("bo@例え。テスト", ["bo@xn--r8jz45g.xn--zckzah"], "bo@xn--r8jz45g.xn--zckzah"),
        ("Bo Reed <bo@x.test>", ["bo@x.test"], "Bo Reed <bo@x.test>"),
        ('"Reed, Bo; jr." <bo@x.test>', ["bo@x.test"], None),
        ("bo@x.test; al@x.test", ["bo@x.test", "al@x.test"], "bo@x.test, al@x.test"),
        ("bo@x.test,al@x.test, BO@x.test;", ["BO@x.test", "al@x.test"], "BO@x.test, al@x.test"),
        ("Bo <bo@x.test>, Jürgen <j@x.test>", ["bo@x.test", "j@x.test"], None),
        ("Reed, Bo <bo@x.test>; Al <al@x.test>", ["bo@x.test", "al@x.test"], None),
        ("mailto:bo@x.test", ["bo@x.test"], "bo@x.test"),
        ("bo@x.test al@x.test", ["bo@x.test", "al@x.test"], "bo@x.test, al@x.test"),
        ("bo@x.test / al@x.test", ["bo@x.test", "al@x.test"], "bo@x.test, al@x.test"),
        ("bo@x.test/al@x.test\n", ["bo@x.test", "al@x.test"], "bo@x.test, al@x.test"),
        ("sales/office@x.test", ["sales/office@x.test"], "sales/office@x.test"),
        ("bo@x.test.", ["bo@x.test"], "bo@x.test"),
        (f"{'b' * 64}@x.test", [f"{'b' * 64}@x.test"], None),
        (f"bo@{'x' * 63}.test", [f"bo@{'x' * 63}.test"], None),
        ("bo.o'reed+x=1!@1and1.x-y.test", ["bo.o'reed+x=1!@1and1.x-y.test"], None),
        ("bo@intranet, al@x_y.test", ["bo@intranet", "al@x_y.test"], None),
        ("Bo <bo@x.test.>; al@x.test.", ["bo@x.test", "al@x.test"], None),
        ("Bo Reed (bo@x.test)", ["bo@x.test"], "Bo Reed <bo@x.test>"),
        ("bo@x.test (at home)", ["bo@x.test"], "bo@x.test"),
        ("'bo@x.test', \"al@x.test\"", ["bo@x.test", "al@x.test"], "bo@x.test, al@x.test"),
        ('Bo "The Fence" Reed <bo@x.test>', ["bo@x.test"], "Bo The Fence Reed <bo@x.test>"),
        ("\u200bbo\uff20x.test\uff1bal@x.test", ["bo@x.test", "al@x.test"], None),
    ],
)
async def test_a_mail_goes_to_addresses_however_they_are_written(
    smtp: SmtpReceiver, channel: Channel, target: str, told: list[str], shown: str | None
) -> None:
    """With a name, several with whatever people put between them, an umlaut, a dot; each once."""
    await channel.send(replace(MESSAGE, target=target))
    (mail,) = smtp.mails
    assert mail.recipients == told
    assert shown in {None, mail.message["To"]}


@pytest.mark.parametrize(
    "target",
    [
        *("bo", "bo@", "@x.test", "bo reed@x.test", "bo@x.test al", "bo@x..test", ";"),
        *("bo@\u2665.test", "bo@\u200bx\u2024y.test "),
        *("bo.@x.test", ".bo@x.test", "bo..reed@x.test", "bo@.x.test", "bo@x.test..", "bo@x..test"),
        *('"bo reed"@x.test', '"bo"@x.test', "bo(at home)@x.test", "bo@ x.test", "bo@@x.test"),
        *("bo@127.0.0.1", "bo@[127.0.0.1]", "bo@[IPv6:::1]", "bo@-x.test", "bo@x-.test"),
        *(f"{'b' * 65}@x.test", f"{'ü' * 33}@x.test", f"bo@{'x' * 64}.test"),
        f"bo@{'x' * 60}.{'x' * 60}.{'x' * 60}.{'x' * 60}.{'x' * 10}",
        *("bo@x.test; al", "<bo@x.test> al", "Bo\nBcc: <bo@x.test>", "bo@x.test," * 300),
    ],
)
async def test_what_is_no_address_fails_in_words(
    smtp: SmtpReceiver, channel: Channel, target: str
) -> None:
    """For good, and nobody beside it is written to either."""
    with pytest.raises(SendError, match="address") as caught:
        await channel.send(replace(MESSAGE, target=target))
    assert caught.value.permanent
    assert smtp.mails == []


async def test_a_subject_is_one_line(smtp: SmtpReceiver, channel: Channel) -> None:
    """A title may have several: they are joined."""
    await channel.send(replace(MESSAGE, subject="New: Call Jeanne \r\n she asked twice\u2028!\n"))
    (mail,) = smtp.mails
    assert mail.message["Subject"] == "New: Call Jeanne she asked twice !"


async def test_a_subject_has_an_end(smtp: SmtpReceiver, channel: Channel) -> None:
    """One of thousands of signs is cut, which would else hold up everything for seconds."""
    await channel.send(replace(MESSAGE, subject="✅" * 40_000))
    (mail,) = smtp.mails
    assert mail.message["Subject"] == "✅" * 399 + "…"


async def test_the_end_of_a_subject_is_a_whole_sign(smtp: SmtpReceiver, channel: Channel) -> None:
    """A letter keeps its accent, and a family all of its members, or they are left out."""
    await channel.send(replace(MESSAGE, subject="x" * 398 + "👩\u200d👧" + "y" * 9))
    (mail,) = smtp.mails
    assert mail.message["Subject"] == "x" * 398 + "…"


async def test_a_mail_sent_again_keeps_its_id(smtp: SmtpReceiver, channel: Channel) -> None:
    """A mailbox that gets it twice can tell that it is one."""
    receipts = [await channel.send(MESSAGE) for _ in range(2)]
    ids = {mail.message["Message-ID"] for mail in smtp.mails}
    assert ids == {f"<{MESSAGE.key}@example.com>"}
    assert receipts[0] == receipts[1] == {"message_id": f"<{MESSAGE.key}@example.com>"}


async def test_mails_about_one_task_are_one_thread(smtp: SmtpReceiver, channel: Channel) -> None:
    """All answer the same id, which is no mail's own; another task has another."""
    for number, task in enumerate(["T1", "T1", "T2 <x>\n"]):
        await channel.send(replace(MESSAGE, key=f"k{number}", task_id=task))
    first, second, other = (mail.message for mail in smtp.mails)
    assert first["References"] == first["In-Reply-To"] == second["References"]
    assert first["References"] != other["References"]
    assert first["References"] not in {first["Message-ID"], second["Message-ID"]}


async def test_without_a_subject_the_first_line_is_it(smtp: SmtpReceiver, channel: Channel) -> None:
    """A rule that gives only a text still makes a mail that can be told from others."""
    await channel.send(replace(MESSAGE, subject=None, text="Smith is done\nby Bo"))
    assert smtp.mails[0].message["Subject"] == "Smith is done"


async def test_connections_are_kept(smtp: SmtpReceiver, channel: Channel) -> None:
    """Mails one after the other share one connection, and at once have one each."""
    for _ in range(3):
        await channel.send(MESSAGE)
    assert smtp.connections == 1
    await asyncio.gather(*(channel.send(MESSAGE) for _ in range(4)))
    assert len(smtp.mails) == 7
    assert smtp.connections == 4


async def test_a_connection_that_was_closed_is_replaced(
    smtp: SmtpReceiver, channel: Channel
) -> None:
    """Servers close idle connections; the next mail does not suffer for it."""
    await channel.send(MESSAGE)
    await smtp.drop()
    await asyncio.sleep(0.01)
    await channel.send(MESSAGE)
    assert len(smtp.mails) == 2


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("reply", "permanent"), [("451 try later", False), ("550 no such user", True)]
)
async def test_the_server_says_whether_to_try_again(
    smtp: SmtpReceiver, channel: Channel, command: str, reply: str, *, permanent: bool
) -> None:
    """4xx is for now and 5xx is for ever, whichever command it answers."""
    smtp.replies[command] = reply
    with pytest.raises(SendError, match=reply[4:]) as caught:
        await channel.send(MESSAGE)
    assert (caught.value.permanent, caught.value.outcome_unknown) == (permanent, False)


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
async def test_before_the_body_nothing_was_sent(
    smtp: SmtpReceiver, channel: Channel, command: str
) -> None:
    """Silence before the body is handed over is no doubt: there was no mail yet."""
    smtp.hangs.add(command)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    assert (caught.value.permanent, caught.value.outcome_unknown) == (False, False)


@pytest.mark.parametrize(
    "message",
    [
        replace(MESSAGE, target="bo@x.test\r\nBcc: all@x.test"),
        replace(MESSAGE, target="bo@x.test>\r\nRCPT TO:<all@x.test"),
        replace(MESSAGE, target="bo"),
        replace(MESSAGE, target=""),
    ],
)
async def test_no_header_can_be_smuggled_in(
    smtp: SmtpReceiver, channel: Channel, message: object
) -> None:
    """An address that is more than that is refused before anything is sent."""
    with pytest.raises(SendError) as caught:
        await channel.send(message)  # type: ignore[arg-type]
    assert caught.value.permanent
    assert smtp.connections == 0


async def test_letters_before_the_at_are_told_as_they_are(clock: VirtualClock) -> None:
    """In NFC, to a server with SMTPUTF8; the domain is in ASCII all the same."""
    async with SmtpReceiver(utf8=True) as smtp, open_client(LOOPBACK) as client:
        channel = plain(client, clock, smtp)
        await channel.send(replace(MESSAGE, target="Jürgen <ju\u0308rgen@bücher.test>, bo@x.test"))
        await channel.close()
    (mail,) = smtp.mails
    assert mail.recipients == ["jürgen@xn--bcher-kva.test", "bo@x.test"]
    assert "To: Jürgen <jürgen@xn--bcher-kva.test>".encode() in mail.raw


async def test_letters_before_the_at_need_a_server_that_takes_them(
    smtp: SmtpReceiver, channel: Channel
) -> None:
    """Without SMTPUTF8 the mail fails for good, and nobody gets it."""
    with pytest.raises(SendError, match=r"SMTPUTF8.*: jürgen@x.test$") as caught:
        await channel.send(replace(MESSAGE, target="jürgen@x.test, bo@x.test"))
    assert caught.value.permanent
    assert smtp.mails == []


async def test_answers_go_to_an_address_of_the_firm(clock: VirtualClock) -> None:
    """`reply_to` has a name of its own; its domain is in ASCII, as in all addresses."""
    async with SmtpReceiver() as smtp, open_client(LOOPBACK) as client:
        channel = plain(client, clock, smtp, reply_to="Büro <office@bücher.test>")
        await channel.send(MESSAGE)
        await channel.close()
    assert smtp.mails[0].message["Reply-To"] == "Büro <office@xn--bcher-kva.test>"


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("reply", ["450 greylisted", "451 4.7.1 try again later"])
async def test_a_greylisted_mail_waits_and_is_no_failed_attempt(
    smtp: SmtpReceiver, channel: Channel, command: str, reply: str
) -> None:
    """Such servers take a mail that comes again after some minutes, and not one after seconds."""
    smtp.replies[command] = reply
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    assert caught.value.not_now
    assert caught.value.retry_after == timedelta(minutes=10)


async def test_a_full_server_is_tried_again_as_usual(smtp: SmtpReceiver, channel: Channel) -> None:
    """452 is trouble of the server: it counts as a failed attempt."""
    smtp.replies["RCPT"] = "452 no space"
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    assert (caught.value.permanent, caught.value.not_now) == (False, False)


async def test_a_refused_recipient_does_not_keep_the_others_from_it(
    smtp: SmtpReceiver, channel: Channel
) -> None:
    """They get the mail, and what it says of who did not get it is kept for people."""
    smtp.replies["RCPT al@x.test"] = "550 no such user"
    receipt = await channel.send(replace(MESSAGE, target="bo@x.test, al@x.test"))
    assert smtp.mails[0].recipients == ["bo@x.test"]
    assert receipt["note"] == "not sent to al@x.test: 550 no such user"


TWO = replace(MESSAGE, target="bo@x.test, al@x.test")


async def refused_in_part(channel: Channel, message: Message) -> SendError:
    with pytest.raises(SendError) as caught:
        await channel.send(message)
    return caught.value


async def test_one_who_is_refused_for_now_does_not_keep_the_others_from_it(
    smtp: SmtpReceiver, channel: Channel
) -> None:
    """They get the mail at once; only the one who is refused is named again, for the same mail."""
    smtp.replies["RCPT al@x.test"] = "450 greylisted"
    error = await refused_in_part(channel, TWO)
    assert (error.permanent, error.outcome_unknown, error.not_now) == (False, False, False)
    assert error.retry_after == timedelta(minutes=10)
    assert "refused mail to al@x.test: 450 greylisted (1 of 2 recipients have" in str(error)
    again = await refused_in_part(channel, replace(TWO, progress=error.progress))
    assert again.progress == error.progress
    smtp.replies.clear()
    receipt = await channel.send(replace(TWO, progress=again.progress))
    assert "note" not in receipt
    first, second = smtp.mails
    assert (first.recipients, second.recipients) == (["bo@x.test"], ["al@x.test"])
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.message["To"] == second.message["To"] == "bo@x.test, al@x.test"
    assert smtp.connections == 1


async def test_a_server_that_takes_few_recipients_at_once_is_tried_again_soon(
    smtp: SmtpReceiver, channel: Channel
) -> None:
    """RFC 5321, 4.5.3.1.10: the rest are named in another go."""
    smtp.replies["RCPT al@x.test"] = "452 too many recipients"
    error = await refused_in_part(channel, TWO)
    assert (error.permanent, error.not_now, error.retry_after) == (False, False, None)
    assert smtp.mails[0].recipients == ["bo@x.test"]


async def test_what_is_refused_for_good_in_the_end_is_said(
    smtp: SmtpReceiver, channel: Channel
) -> None:
    """The mail is sent, because somebody has it; who has not is named with the server's words."""
    three = replace(MESSAGE, target="bo@x.test, al@x.test, cy@x.test")
    smtp.replies |= {"RCPT al@x.test": "450 greylisted", "RCPT cy@x.test": "550 moved"}
    error = await refused_in_part(channel, three)
    smtp.replies["RCPT al@x.test"] = "550 no such user"
    receipt = await channel.send(replace(three, progress=error.progress))
    assert receipt["note"] == (
        "not sent to cy@x.test: 550 moved; not sent to al@x.test: 550 no such user"
    )
    assert [mail.recipients for mail in smtp.mails] == [["bo@x.test"]]


async def test_a_server_that_closes_between_recipients_has_taken_nothing(
    smtp: SmtpReceiver, channel: Channel
) -> None:
    """421 ends the connection, and the mail of those who were accepted before with it."""
    smtp.replies["RCPT al@x.test"] = "421 closing"
    error = await refused_in_part(channel, TWO)
    assert (error.outcome_unknown, error.progress, smtp.mails) == (False, None, [])
    smtp.replies.clear()
    await channel.send(TWO)
    assert smtp.mails[0].recipients == ["bo@x.test", "al@x.test"]


async def test_while_nobody_is_taken_the_mail_waits(smtp: SmtpReceiver, channel: Channel) -> None:
    """One is refused for good and one for now: nothing is achieved yet."""
    smtp.replies |= {"RCPT al@x.test": "450 greylisted", "RCPT bo@x.test": "550 moved"}
    error = await refused_in_part(channel, TWO)
    assert (error.not_now, error.progress, smtp.mails) == (True, None, [])


async def test_a_mail_too_large_for_the_server_fails_in_words(clock: VirtualClock) -> None:
    """The server has said how much it takes, so it is not even handed over."""
    async with SmtpReceiver(most=2000) as smtp, open_client(LOOPBACK) as client:
        channel = plain(client, clock, smtp)
        with pytest.raises(SendError, match=r"too large for 127.0.0.1: \d+ bytes, at most 2000"):
            await channel.send(MESSAGE)
        await channel.close()
    assert smtp.mails == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (("DATA", "552 5.3.4 too big"), "the mail is too large, or the mailbox is full"),
        (("MAIL", "553 not owned by user bell"), "from: must be an address with which this login"),
    ],
)
async def test_a_refusal_says_what_to_do(
    smtp: SmtpReceiver, channel: Channel, reply: tuple[str, str], said: str
) -> None:
    """Beside what the server said."""
    smtp.replies[reply[0]] = reply[1]
    with pytest.raises(SendError, match=said) as caught:
        await channel.send(MESSAGE)
    assert caught.value.permanent
    assert reply[1] in str(caught.value)


async def test_a_probe_finds_a_sender_that_is_refused(smtp: SmtpReceiver, channel: Channel) -> None:
    """The doctor says so before the first mail, and sends none."""
    smtp.replies["MAIL"] = "553 not owned by user bell"
    with pytest.raises(SendError, match=r"refused mail from tasks@example\.com: 553"):
        await channel.probe(partial(check_connection, LOOPBACK))


async def test_a_wrong_password_is_final(smtp: SmtpReceiver, clock: VirtualClock) -> None:
    """The operator has to correct it; the error does not repeat it."""
    async with smtp, open_client(LOOPBACK) as client:
        url = f"smtp://bell:hidden@127.0.0.1:{smtp.port}"
        channel = configured("email", client, clock, url=url, **{"from": "a@b.test"})
        with pytest.raises(SendError, match="refused the login") as caught:
            await channel.send(MESSAGE)
    assert caught.value.permanent
    assert "hidden" not in "".join(format_exception(caught.value))
    assert smtp.mails == []


def plain(
    client: httpx.AsyncClient, clock: VirtualClock, smtp: SmtpReceiver, **given: str
) -> Channel:
    """A channel for a server that wants no login."""
    url = f"smtp://127.0.0.1:{smtp.port}"
    return configured("email", client, clock, url=url, **{"from": "tasks@example.com"}, **given)


class Babbler(Receiver):
    """A mail server that says this again and again, and never comes to an end."""

    def __init__(self, said: bytes) -> None:
        super().__init__()
        self._said = said

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._babble, "127.0.0.1", 0)

    async def _babble(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        with suppress(ConnectionError):
            while not self.closing.is_set():
                writer.write(self._said)
                await writer.drain()
        writer.close()


@pytest.mark.parametrize("said", [b"220-hello\r\n" * 1000, b"2" * 10_000, b"\r\n" * 1000])
async def test_an_answer_without_end_is_given_up(clock: VirtualClock, said: bytes) -> None:
    """Neither endless lines nor endlessly many fill the memory; nothing was sent."""
    async with Babbler(said) as server, open_client(LOOPBACK) as client:
        url = f"smtp://127.0.0.1:{server.port}"
        channel = configured("email", client, clock, url=url, **{"from": "a@b.test"})
        tracemalloc.start()
        with pytest.raises(SendError) as caught:
            await channel.send(MESSAGE)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < MIB
    assert len(str(caught.value)) < 400
    assert (caught.value.permanent, caught.value.outcome_unknown) == (False, False)


async def test_a_refusal_is_kept_as_far_as_it_is_text(smtp: SmtpReceiver, channel: Channel) -> None:
    """A server speaks to a terminal: its words are kept as far as they are text."""
    smtp.replies["RCPT"] = "550 m\x1b[2Jaybe"
    with pytest.raises(SendError, match=r"550 m.\[2Jaybe") as caught:
        await channel.send(MESSAGE)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.test", MailServer("mail.test", 25)),
        ("smtp://u:p@mail.test", MailServer("mail.test", 587, user="u", password="p")),
        ("smtps://u:p@mail.test/", MailServer("mail.test", 465, tls=True, user="u", password="p")),
        ("smtp://u:p@mail.test:2525", MailServer("mail.test", 2525, user="u", password="p")),
        (
            "smtp://u%40x.test:a%2Fb@mail.test",
            MailServer("mail.test", 587, user="u@x.test", password="a/b"),
        ),
        (
            "smtp://u:a/b#c?d@e:f@mail.test",
            MailServer("mail.test", 587, user="u", password="a/b#c?d@e:f"),
        ),
        ("smtp://[::1]:2525", MailServer("::1", 2525)),
    ],
)
def test_addresses_of_servers(url: str, server: MailServer) -> None:
    """A password may be written as it is or escaped, as the variable happens to hold it."""
    assert MailServer.parse(url) == server


@pytest.mark.parametrize(
    "given",
    [
        {"url": "smtp://user:hidden"},
        {"url": "http://user:hidden@mail.test"},
        {"url": "hidden"},
        {"url": "smtp://user:hidden@"},
        {"url": "smtp://mail.test", "from": "nobody"},
        {"url": "smtp://mail.test", "reply_to": "office@"},
        {"url": "smtp://mail.test", "from": "a@b.test\r\nBcc: c@d.test"},
    ],
)
def test_faulty_options_are_refused_without_repeating_them(given: dict[str, str]) -> None:
    """A fault in an address that holds a password must not print the password."""
    with pytest.raises(ValidationError) as caught:
        EmailOptions.model_validate({"name": "m", "kind": "email", "from": "a@b.test", **given})
    assert "hidden" not in str(caught.value)
