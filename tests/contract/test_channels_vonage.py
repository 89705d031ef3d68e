"""Vonage: what is sent to which number, and what its answers mean; nobody gets anything twice."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from service.channels import Channel
from service.channels.vonage import VonageChannel, VonageOptions
from service.clock import VirtualClock
from service.errors import SendError
from service.http.client import open_client
from service.http.connection_check import check_connection
from tests.contract.channel_rigs import VonageRig, configured, opened
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver, Request

MESSAGE = VonageRig.message
GIVEN = {"api_key": "abcd1234", "secret": "hidden", "from": "ACME"}


@pytest.fixture
def rig() -> VonageRig:
    return VonageRig()


@pytest.fixture
async def channel(rig: VonageRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def _said(*statuses: str) -> Answer:
    return Answer(200, {"messages": [{"status": one, "error-text": "hidden"} for one in statuses]})


async def _sent(clock: VirtualClock, target: str, text: str = "Hi", **options: Any) -> Request:
    async with HttpReceiver() as vonage, open_client(LOOPBACK) as client:
        vonage.reply(Answer(200, {"messages": [{"status": "0", "message-id": "0C01"}]}))
        channel = configured("vonage", client, clock, api_url=vonage.url, **{**GIVEN, **options})
        await channel.send(replace(MESSAGE, target=target, text=text))
    return vonage.requests[0]


async def _failure(rig: VonageRig, channel: Channel, answer: Answer) -> SendError:
    rig.receiver.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    return caught.value


def test_nobody_gets_a_message_twice() -> None:
    """A customer message is 0 or 1, never 2: what may have arrived is for a person to settle."""
    assert VonageChannel.at_most_once


async def test_a_text_message(rig: VonageRig, channel: Channel) -> None:
    """By the account's login, as a form; the number without its plus."""
    assert await channel.send(replace(MESSAGE, text="*Smith* & <b>")) == {"id": "0C01"}
    [request] = rig.posted
    assert request.headers["authorization"] == f"Basic {rig.secrets[1]}"
    assert _form(request) == {
        "from": "ACME",
        "to": "4915112345678",
        "text": "*Smith* & <b>",
        "type": "text",
    }


@pytest.mark.parametrize(
    ("text", "kind"), [("Grüße {€}", "text"), ("Œuvre", "unicode"), ("✅ done", "unicode")]
)
async def test_letters_that_a_plain_message_lacks_make_it_unicode(
    clock: VirtualClock, text: str, kind: str
) -> None:
    """Otherwise they would arrive as question marks; and a plain one is cheaper."""
    form = _form(await _sent(clock, "+4915112345678", text))
    assert (form["text"], form["type"]) == (text, kind)


async def test_numbers_as_people_write_them(clock: VirtualClock) -> None:
    """Completed by the country's code; YAML takes one without quotes for an amount."""
    options: dict[str, Any] = {"from": 14155550100, "country_code": 1}
    form = _form(await _sent(clock, "(415) 555-0123", **options))
    assert (form["from"], form["to"]) == ("14155550100", "14155550123")


async def test_what_is_not_one_number_is_not_guessed(rig: VonageRig, channel: Channel) -> None:
    """A message to the wrong person is worse than none."""
    for target in ("555 0123", "bo@x.test", "+1 415 555 0123 ext 4"):
        with pytest.raises(SendError, match="phone number") as caught:
            await channel.send(replace(MESSAGE, target=target))
        assert caught.value.permanent
    assert rig.posted == []


async def test_a_long_text_is_cut(clock: VirtualClock) -> None:
    """Marked by dots that do not make the message dearer; the last line is kept."""
    form = _form(await _sent(clock, "+4915112345678", "Smith & Jones " * 900 + "\nend"))
    assert 1580 < len(form["text"]) <= 1600
    assert form["text"].endswith("\n...\nend")
    assert form["type"] == "text"


@pytest.mark.parametrize("status", ["1", "10"])
async def test_a_pause_is_no_attempt(rig: VonageRig, channel: Channel, status: str) -> None:
    """Vonage has done nothing, so the message may be sent later."""
    error = await _failure(rig, channel, _said(status))
    assert (error.not_now, error.outcome_unknown) == (True, False)
    assert error.retry_after == timedelta(minutes=1)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(503),
        Answer(408),
        Answer(200, b"<html>"),
        Answer(200, {"ok": True}),
        Answer(200, {"messages": []}),
        Answer(200, {"messages": "hidden"}),
        _said("5"),
        _said("0", "1"),
        _said("0", "9"),
    ],
    ids=str,
)
async def test_what_may_have_been_sent_is_not_known(
    rig: VonageRig, channel: Channel, answer: Answer
) -> None:
    """Also if only some parts of a long one were taken: it is not sent again by itself."""
    error = await _failure(rig, channel, answer)
    assert (error.outcome_unknown, error.permanent) == (True, False)
    assert "hidden" not in str(error)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_said("4"), r"copy both again from Vonage's dashboard \(4\)"),
        (_said("6"), r"check it, with its country code \(6\)"),
        (_said("9"), r"top it up \(9\)"),
        (_said("15"), r"sender in `from` .* \(15\)"),
        (_said("77"), r"documentation of Vonage \(77\)"),
        (_said("<hidden>"), r"documentation of Vonage \(no status\)"),
        (Answer(401, b"no"), r"copy both again .* \(401\)"),
    ],
    ids=str,
)
async def test_a_refusal_is_final_and_says_why(
    rig: VonageRig, channel: Channel, answer: Answer, sentence: str
) -> None:
    """The operator reads what to do; what Vonage repeats of the message is not repeated."""
    error = await _failure(rig, channel, answer)
    assert (error.permanent, error.outcome_unknown) == (True, False)
    assert "hidden" not in str(error)
    with pytest.raises(SendError, match=f"^Vonage refused: .*{sentence}"):
        raise error


async def test_the_doctor_says_that_the_login_is_wrong(rig: VonageRig, channel: Channel) -> None:
    """It asks for the balance, and sends nothing."""
    await channel.probe(partial(check_connection, LOOPBACK))
    rig.receiver.reply(Answer(401, {"error-code": "401", "error-code-label": "hidden"}))
    with pytest.raises(SendError, match="copy both again from Vonage's dashboard"):
        await channel.probe(partial(check_connection, LOOPBACK))
    assert rig.posted == []


@pytest.mark.parametrize(
    "given", [{"api_key": "../hidden"}, {"country_code": "hidden"}, {"api_url": "hidden"}]
)
def test_faulty_options_are_refused_without_repeating_them(given: dict[str, str]) -> None:
    """A slip may have put a secret there."""
    with pytest.raises(ValidationError) as caught:
        VonageOptions.model_validate({"name": "x", "kind": "vonage", **GIVEN, **given})
    assert "hidden" not in str(caught.value)
