"""Twilio: what is sent to which number, and what its answers mean; nobody gets anything twice."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from service.channels import Channel
from service.channels.twilio import TwilioChannel, TwilioOptions
from service.clock import VirtualClock
from service.errors import SendError
from service.http.client import open_client
from tests.contract.channel_rigs import TwilioRig, configured, opened
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver, Request

MESSAGE = TwilioRig.message
WIDE = {ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}
GIVEN = {"account_sid": "AC1", "token": "hidden", "from": "+14155550100"}


@pytest.fixture
def rig() -> TwilioRig:
    return TwilioRig()


@pytest.fixture
async def channel(rig: TwilioRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def _no(status: int, code: int) -> Answer:
    return Answer(status, {"code": code, "message": "hidden", "status": status})


async def _sent(clock: VirtualClock, target: str, text: str = "Hi", **options: Any) -> Request:
    async with HttpReceiver() as twilio, open_client(LOOPBACK) as client:
        twilio.reply(Answer(201, {"sid": "SM1", "status": "queued"}))
        channel = configured("twilio", client, clock, api_url=twilio.url, **{**GIVEN, **options})
        await channel.send(replace(MESSAGE, target=target, text=text))
    return twilio.requests[0]


async def _failure(rig: TwilioRig, channel: Channel, answer: Answer) -> SendError:
    rig.receiver.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    return caught.value


def test_nobody_gets_a_message_twice() -> None:
    """A customer message is 0 or 1, never 2: what may have arrived is for a person to settle."""
    assert TwilioChannel.at_most_once


async def test_a_text_message(rig: TwilioRig, channel: Channel) -> None:
    """By the account's login, as a form."""
    assert await channel.send(replace(MESSAGE, text="*Smith* & <b>")) == {"sid": "SM1"}
    [request] = rig.posted
    assert request.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert request.headers["authorization"] == f"Basic {rig.secrets[1]}"
    assert _form(request) == {
        "To": "+4915112345678",
        "From": "+14155550100",
        "Body": "*Smith* & <b>",
    }


async def test_a_messaging_service_and_a_key(clock: VirtualClock) -> None:
    """The service chooses the sender; a key takes the place of the account's token."""
    sent = await _sent(clock, "+4915112345678", **{"from": "MG7", "key_sid": "SK5"})
    assert _form(sent)["MessagingServiceSid"] == "MG7"
    assert "From" not in _form(sent)
    assert sent.headers["authorization"] == "Basic U0s1OmhpZGRlbg=="


async def test_a_whatsapp_message(clock: VirtualClock) -> None:
    """With signs that look like WhatsApp's marks and are none; addresses stay as they are."""
    text = "*Smith* _x_ ~y~ `z` https://t.test/a_b*c"
    sent = await _sent(clock, "whatsapp:+49 151 12345678", text, whatsapp_from="+1 415 555 0199")
    assert _form(sent) == {
        "To": "whatsapp:+4915112345678",
        "From": "whatsapp:+14155550199",
        "Body": "\uff0aSmith\uff0a \uff3fx\uff3f \uff5ey\uff5e \uff40z\uff40 https://t.test/a_b*c",
    }


async def test_a_call_reads_the_text(clock: VirtualClock) -> None:
    """Any markup in the text is read aloud, and not executed."""
    text = 'Smith <Hangup/> & "Sons"\x07 </Say><Dial>+1900</Dial>'
    sent = await _sent(clock, "voice:+4915112345678", text, language="en-GB")
    assert sent.path.endswith("/Calls.json")
    response = ET.fromstring(_form(sent)["Twiml"])  # noqa: S314 (our own)
    [say] = response
    assert (response.tag, say.tag, say.attrib) == ("Response", "Say", {"language": "en-GB"})
    assert say.text == text.replace("\x07", " ")


@pytest.mark.parametrize(
    ("written", "code", "number"),
    [
        ("+1 (415) 555-0123", None, "+14155550123"),
        ("(415) 555-0123", "+1", "+14155550123"),
        ("1-415-555-0123", "+1", "+14155550123"),
        ("0151 1234567", "+49", "+491511234567"),
        ("0151/123 45 67", "+49", "+491511234567"),
        ("+49 151/1234567", None, "+491511234567"),
        ("+49 (0)151 1234567", None, "+491511234567"),
        ("0049 (0)151.1234567", None, "+491511234567"),
        ("06 1234 5678", "+39", "+390612345678"),
        ("\u202a+44 20 7946 0958\u202c", None, "+442079460958"),
        ("sms:+44 20\xa07946\u20110958", None, "+442079460958"),
    ],
)
async def test_a_number_as_people_write_it(
    clock: VirtualClock, written: str, code: str | None, number: str
) -> None:
    """With its signs, and with the country's code where it has none."""
    assert _form(await _sent(clock, written, country_code=code))["To"] == number


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("555 0123", None),
        ("0151 1234567", None),
        ("415-555-0100/0101", "+1"),
        ("415-555-0100, 415-555-0101", "+1"),
        ("+1 415 555 012", None),
        ("+1 415 555 0123 ext 4", None),
        ("bo@x.test", "+1"),
        ("fax:+14155550123", None),
        ("+0123456789", None),
        ("+" + "44207946095".translate(WIDE), None),
    ],
)
async def test_what_is_not_one_number_is_not_guessed(
    rig: TwilioRig, clock: VirtualClock, target: str, code: str | None
) -> None:
    """A message to the wrong person is worse than none."""
    async with rig.receiver as twilio, open_client(LOOPBACK) as client:
        options = {**GIVEN, "api_url": twilio.url, "country_code": code}
        channel = configured("twilio", client, clock, **options)
        with pytest.raises(SendError, match=r"phone number|must be a number") as caught:
            await channel.send(replace(MESSAGE, target=target))
    assert caught.value.permanent
    assert twilio.requests == []


@pytest.mark.parametrize("target", ["whatsapp:+4915112345678", "voice:+4915112345678"])
async def test_a_name_can_only_send_text_messages(clock: VirtualClock, target: str) -> None:
    """WhatsApp and a call need a number."""
    with pytest.raises(SendError, match="needs a number of yours"):
        await _sent(clock, target, **{"from": "ACME"})


async def test_numbers_without_quotes(clock: VirtualClock) -> None:
    """YAML takes +1 for the number 1."""
    options: dict[str, Any] = {"from": 14155550100, "whatsapp_from": 14155550199, "country_code": 1}
    sent = _form(await _sent(clock, "whatsapp:415 555 0123", **options))
    assert (sent["To"], sent["From"]) == ("whatsapp:+14155550123", "whatsapp:+14155550199")
    assert _form(await _sent(clock, "415 555 0123", **options))["From"] == "+14155550100"


async def test_a_long_text_is_cut(clock: VirtualClock) -> None:
    """1,600 characters, marked by dots that do not make the message dearer; a call 4,000."""
    text = "Smith & Jones " * 900 + "\nAnswer here: https://bell.test/1"
    body = _form(await _sent(clock, "+4915112345678", text))["Body"]
    assert 1580 < len(body) <= 1600
    assert body.endswith("\n...\nAnswer here: https://bell.test/1")
    twiml = _form(await _sent(clock, "voice:+4915112345678", text))["Twiml"]
    assert 3900 < len(twiml) <= 4000
    assert ET.fromstring(twiml)[0].text  # noqa: S314 (our own)


async def test_a_pause_is_no_attempt(rig: TwilioRig, channel: Channel) -> None:
    """Twilio has done nothing, so the message may be sent later."""
    error = await _failure(rig, channel, _no(429, 20429))
    assert (error.not_now, error.outcome_unknown) == (True, False)
    assert error.retry_after == timedelta(minutes=1)


@pytest.mark.parametrize("answer", [Answer(500), Answer(503), Answer(201, b"<html>"), Answer(408)])
async def test_what_may_have_been_sent_is_not_known(
    rig: TwilioRig, channel: Channel, answer: Answer
) -> None:
    """So it is not sent again by itself."""
    assert (await _failure(rig, channel, answer)).outcome_unknown


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_no(401, 20003), r"copy both again from Twilio's console \(20003\)"),
        (_no(400, 21211), r"check it, with its country code \(21211\)"),
        (_no(400, 21610), r"has answered STOP, and gets nothing until they text START \(21610\)"),
        (_no(400, 21408), r"geographic permissions \(21408\)"),
        (_no(400, 63016), r"only for 24 hours .* \(63016\)"),
        (_no(400, 29999), r"documentation of Twilio \(29999\)"),
        (Answer(201, {"sid": "SM1", "status": "failed", "error_code": 21610}), "answered STOP"),
        (Answer(201, {"sid": "SM1", "status": "failed", "error_code": None}), r"\(failed\)"),
        (Answer(404, b"no such page"), r"copy both again .* \(404\)"),
    ],
    ids=str,
)
async def test_a_refusal_is_final_and_says_why(
    rig: TwilioRig, channel: Channel, answer: Answer, sentence: str
) -> None:
    """The operator reads what to do; a number that Twilio repeats is not repeated."""
    error = await _failure(rig, channel, answer)
    assert (error.permanent, error.outcome_unknown) == (True, False)
    assert "hidden" not in str(error)
    with pytest.raises(SendError, match=f"^Twilio refused: .*{sentence}"):
        raise error


@pytest.mark.parametrize(
    "given",
    [
        {"account_sid": "../hidden"},
        {"account_sid": "hidden\n"},
        {"country_code": "hidden"},
        {"whatsapp_from": "hidden"},
        {"language": "hidden<"},
        {"api_url": "hidden"},
    ],
)
def test_faulty_options_are_refused_without_repeating_them(given: dict[str, str]) -> None:
    """A slip may have put a secret there."""
    with pytest.raises(ValidationError) as caught:
        TwilioOptions.model_validate({"name": "x", "kind": "twilio", **GIVEN, **given})
    assert "hidden" not in str(caught.value)
