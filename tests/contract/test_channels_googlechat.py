"""Google Chat: the card that is posted, what a text cannot do there, and what refusals mean."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from service.channels import Channel
from service.channels.googlechat import GoogleChatOptions
from service.clock import VirtualClock
from service.errors import SendError
from tests.contract.channel_rigs import MESSAGE, GoogleChatRig, opened
from tests.harness.receivers import Answer


@pytest.fixture
def rig() -> GoogleChatRig:
    return GoogleChatRig()


@pytest.fixture
async def channel(rig: GoogleChatRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


def _no(status: int, name: str) -> Answer:
    return Answer(status, {"error": {"code": status, "message": "hidden", "status": name}})


async def _shown(rig: GoogleChatRig, channel: Channel, text: str) -> str:
    await channel.send(replace(MESSAGE, text=text))
    [card] = rig.posted[-1].json["cardsV2"]
    [section] = card["card"]["sections"]
    [widget] = section["widgets"]
    shown: str = widget["textParagraph"]["text"]
    return shown


async def _failure(rig: GoogleChatRig, channel: Channel, answer: Answer) -> SendError:
    rig.receiver.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    return caught.value


async def test_what_is_posted(rig: GoogleChatRig, channel: Channel) -> None:
    """A card with the text, and the plain text for the notification on a phone."""
    receipt = await channel.send(replace(MESSAGE, text="Smith\nis *done*"))
    assert receipt == {"name": "spaces/AAA/messages/1", "thread": "spaces/AAA/threads/7"}
    [request] = rig.posted
    assert request.query == {"key": rig.secrets[0], "token": f"{rig.secrets[1]}="}
    paragraph = {"textParagraph": {"text": "Smith<br>is *done*"}}
    assert request.json == {
        "fallbackText": "Smith is *done*",
        "cardsV2": [{"cardId": "message", "card": {"sections": [{"widgets": [paragraph]}]}}],
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>Smith</b> & Sons", "&lt;b&gt;Smith&lt;/b&gt; &amp; Sons"),
        ("<users/all> @all", "&lt;users/all&gt; @all"),
        (
            '<a href="https://e.test">Bank</a>',
            '&lt;a href="<a href="https://e.test">https://e.test</a>"&gt;Bank&lt;/a&gt;',
        ),
        ("<https://e.test|Bank>", '&lt;<a href="https://e.test|Bank">https://e.test|Bank</a>&gt;'),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        (
            "https://t.test/a?b=1&c='2",
            '<a href="https://t.test/a?b=1&amp;c=&#x27;2">https://t.test/a?b=1&amp;c=\'2</a>',
        ),
    ],
    ids=str,
)
async def test_a_text_is_only_text(
    rig: GoogleChatRig, channel: Channel, text: str, shown: str
) -> None:
    """A task's title cannot format text, mention anyone, or disguise a link."""
    assert await _shown(rig, channel, text) == shown


@pytest.mark.parametrize("text", ["<" * 40_000, "é" * 40_000, "https://t.test/a " * 4_000])
async def test_a_long_text_is_cut(rig: GoogleChatRig, channel: Channel, text: str) -> None:
    """32,000 bytes of everything; no escape and no link is cut in two."""
    shown = await _shown(rig, channel, f"{text}\nAnswer here: https://bell.test/1")
    assert 29_000 < len(rig.posted[0].body) <= 32_000
    link = '<a href="https://bell.test/1">https://bell.test/1</a>'
    assert shown.endswith(f"<br>…<br>Answer here: {link}")
    assert shown.count("<a ") == shown.count("</a>")
    assert shown.count("&") == shown.count("&lt;")


async def test_an_answer_is_in_the_thread(rig: GoogleChatRig, channel: Channel) -> None:
    """Of the message that it corrects, or in a new one if that is gone."""
    receipt = await channel.send(MESSAGE)
    await channel.take_back(replace(MESSAGE, receipt=receipt, undo="thread"))
    answer = rig.posted[-1]
    assert answer.json["thread"] == {"name": "spaces/AAA/threads/7"}
    assert answer.query["messageReplyOption"] == "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"
    assert answer.query["token"] == f"{rig.secrets[1]}="


async def test_too_many_are_sent_later(rig: GoogleChatRig, channel: Channel) -> None:
    """Google does not say when; a minute is the span of its limits."""
    error = await _failure(rig, channel, _no(429, "RESOURCE_EXHAUSTED"))
    assert (error.not_now, error.retry_after) == (True, timedelta(minutes=1))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_no(400, "INVALID_ARGUMENT"), r"copy the webhook's address again .* \(INVALID_ARGUMENT\)"),
        (_no(403, "PERMISSION_DENIED"), r"does not allow webhooks \(PERMISSION_DENIED\)"),
        (_no(404, "NOT_FOUND"), r"make a new webhook \(NOT_FOUND\)"),
        (_no(401, "hidden"), r"copy the webhook's address again .* \(401\)"),
        (Answer(418), r"documentation of Google Chat \(418\)"),
    ],
    ids=str,
)
async def test_a_refusal_is_final_and_says_why(
    rig: GoogleChatRig, channel: Channel, answer: Answer, sentence: str
) -> None:
    """The operator reads what to do; what Google says, which may have the key, is not repeated."""
    error = await _failure(rig, channel, answer)
    assert error.permanent
    assert "hidden" not in str(error)
    with pytest.raises(SendError, match=f"^Google Chat refused: .*{sentence}"):
        raise error


async def test_another_answer_of_200_is_no_success(rig: GoogleChatRig, channel: Channel) -> None:
    """Such as a page to sign in."""
    assert (await _failure(rig, channel, Answer(200, b"<html>"))).outcome_unknown


@pytest.mark.parametrize("url", ["hidden", "https://chat.google.com/room/hidden"])
def test_an_address_of_something_else_is_refused(url: str) -> None:
    """Without repeating it."""
    with pytest.raises(ValidationError) as caught:
        GoogleChatOptions.model_validate({"name": "x", "kind": "googlechat", "url": url})
    assert "hidden" not in str(caught.value)
