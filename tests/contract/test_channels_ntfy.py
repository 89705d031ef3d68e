"""ntfy: what is published, how it is cut, and what its refusals mean."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from pydantic import ValidationError

from service.channels import Channel
from service.channels.ntfy import NtfyOptions
from service.clock import VirtualClock
from service.errors import SendError
from service.http.client import open_client
from service.http.connection_check import check_connection
from tests.contract.channel_rigs import NtfyRig, configured, opened
from tests.harness.receivers import LOOPBACK, Answer

MESSAGE = NtfyRig.message
CHECK = partial(check_connection, LOOPBACK)


@pytest.fixture
def rig() -> NtfyRig:
    return NtfyRig()


@pytest.fixture
async def channel(rig: NtfyRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


def _no(status: int, code: int) -> Answer:
    return Answer(status, {"code": code, "http": status, "error": "hidden"})


async def _failure(rig: NtfyRig, channel: Channel, answer: Answer) -> SendError:
    rig.receiver.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    return caught.value


async def test_what_is_published(rig: NtfyRig, channel: Channel) -> None:
    """The unchanged text, with the subject on one line as its title."""
    message = replace(MESSAGE, text="**Smith**\n<b>", subject="Smith\ngutters")
    assert await channel.send(message) == {"id": "xE73Iyuabi"}
    [request] = rig.receiver.requests
    assert request.headers["authorization"] == f"Bearer {rig.secrets[0]}"
    assert request.json == {
        "topic": "acme-office",
        "message": "**Smith**\n<b>",
        "title": "Smith gutters",
        "priority": 3,
    }


async def test_a_priority_is_chosen_for_a_channel(rig: NtfyRig, clock: VirtualClock) -> None:
    """And a topic without protection needs no token."""
    async with rig.receiver as receiver, open_client(LOOPBACK) as client:
        channel = configured("ntfy", client, clock, url=receiver.url, priority="urgent")
        await channel.send(MESSAGE)
    assert rig.posted[0].json["priority"] == 5
    assert "authorization" not in rig.posted[0].headers


@pytest.mark.parametrize("subject", ["é" * 300, "\x07" * 300])
@pytest.mark.parametrize(
    "text", ["é" * 5000, "👍" * 2000, '"' * 9000, "\x1b" * 5000, "a b " * 2000]
)
async def test_a_long_text_is_cut(rig: NtfyRig, channel: Channel, text: str, subject: str) -> None:
    """A longer one would become an attachment, and the JSON has a limit of its own."""
    text = f"{text}\nAnswer here: https://bell.test/1"
    await channel.send(replace(MESSAGE, text=text, subject=subject))
    [request] = rig.posted
    assert len(request.json["message"].encode()) <= 4096
    assert len(request.body) <= 8192
    assert request.json["message"].endswith("\n…\nAnswer here: https://bell.test/1")


@pytest.mark.parametrize("target", ["a b", "é", "a/b", "x" * 65])
async def test_what_is_no_topic_is_refused(rig: NtfyRig, channel: Channel, target: str) -> None:
    """Before anything is called."""
    with pytest.raises(SendError, match="must be a topic") as caught:
        await channel.send(replace(MESSAGE, target=target))
    assert caught.value.permanent
    assert rig.receiver.requests == []


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (_no(429, 42901), timedelta(minutes=1)),
        (_no(429, 42908), timedelta(hours=1)),
        (Answer(429, headers={"retry-after": "7"}), timedelta(seconds=7)),
    ],
    ids=["a few", "the day's", "asked for"],
)
async def test_a_limit_is_waited_for(
    rig: NtfyRig, channel: Channel, answer: Answer, pause: timedelta
) -> None:
    """It is no failed attempt."""
    error = await _failure(rig, channel, answer)
    assert (error.not_now, error.retry_after) == (True, pause)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_no(401, 40101), r"make a new one in the account's settings \(40101\)"),
        (_no(403, 40301), r"the token may not publish there \(40301\)"),
        (_no(400, 40010), r"does not allow this name for a topic \(40010\)"),
        (_no(400, 40999), r"documentation of ntfy \(40999\)"),
        (Answer(404, b"<html>"), r"there is no ntfy server at this address \(404\)"),
    ],
    ids=str,
)
async def test_a_refusal_is_final_and_says_why(
    rig: NtfyRig, channel: Channel, answer: Answer, sentence: str
) -> None:
    """The operator reads what to do; asking again would not help."""
    error = await _failure(rig, channel, answer)
    assert error.permanent
    with pytest.raises(SendError, match=f"^ntfy refused: .*{sentence}"):
        raise error


async def test_the_doctor_tries_the_token(rig: NtfyRig, channel: Channel) -> None:
    """A server without accounts is fine; one that does not know the token is not."""
    rig.receiver.reply(Answer(200, {"healthy": True}), _no(404, 40401))
    await channel.probe(CHECK)
    rig.receiver.reply(Answer(200, {"healthy": True}), _no(401, 40101))
    with pytest.raises(SendError, match="token is not valid"):
        await channel.probe(CHECK)
    assert rig.posted == []


@pytest.mark.parametrize(
    "given",
    [
        {"url": "hidden"},
        {"url": "https://ntfy.sh/hidden"},
        {"token": "hid\nden"},
        {"priority": "9"},
    ],
)
def test_faulty_options_are_refused_without_repeating_them(given: dict[str, str]) -> None:
    """A topic may be a secret, too."""
    with pytest.raises(ValidationError) as caught:
        NtfyOptions.model_validate({"name": "x", "kind": "ntfy", **given})
    assert "hidden" not in str(caught.value)
