"""Telegram: what is sent, what a text cannot do there, and what its refusals mean."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from service.channels import Channel
from service.channels.telegram import TelegramOptions
from service.clock import VirtualClock
from service.errors import SendError
from tests.contract.channel_rigs import TelegramRig, opened
from tests.harness.receivers import Answer

CHAT = -1001234567890
MESSAGE = TelegramRig.message


@pytest.fixture
def rig() -> TelegramRig:
    return TelegramRig()


@pytest.fixture
async def channel(rig: TelegramRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


def _no(status: int, description: str, **parameters: object) -> Answer:
    said = {"ok": False, "error_code": status, "description": description}
    return Answer(status, {**said, "parameters": parameters})


async def _failure(rig: TelegramRig, channel: Channel, answer: Answer) -> SendError:
    rig.receiver.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    return caught.value


async def test_what_is_sent(rig: TelegramRig, channel: Channel) -> None:
    """The text without markup or preview; the receipt has the chat's number and the message's."""
    receipt = await channel.send(replace(MESSAGE, target="@office", text="*Smith* <b>_x_ [y](z)"))
    assert receipt == {"chat_id": CHAT, "message_id": 5}
    [request] = rig.receiver.requests
    assert request.path == f"/bot{rig.secrets[0]}/sendMessage"
    assert request.json == {
        "chat_id": "@office",
        "text": "*Smith* <b>_x_ [y](z)",
        "link_preview_options": {"is_disabled": True},
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ask @bob or bo@x.test", "Ask @\u2060bob or bo@x.test"),
        ("/start 1/2 #tag a#b", "/\u2060start 1/2 #\u2060tag a#b"),
        ("@@bob //start ##tag /@bob", "@@\u2060bob //start ##\u2060tag /@\u2060bob"),
        ("https://t.test/@bob/#a ?#b", "https://t.test/@bob/#a ?#\u2060b"),
    ],
)
async def test_a_text_is_only_text(
    rig: TelegramRig, channel: Channel, text: str, shown: str
) -> None:
    """A task's title can neither notify anyone, nor add a command to press."""
    await channel.send(replace(MESSAGE, text=text))
    assert rig.posted[0].json["text"] == shown


@pytest.mark.parametrize("text", ["👍" * 5000, " @x" * 5000, "Smith Jones " * 900])
async def test_a_long_text_is_cut(rig: TelegramRig, channel: Channel, text: str) -> None:
    """4,096 characters, of which an emoji is two."""
    await channel.send(replace(MESSAGE, text=f"{text}\nAnswer here: https://bell.test/1"))
    shown = rig.posted[0].json["text"]
    assert 4000 < len(shown.encode("utf-16-le")) // 2 <= 4096
    assert shown.endswith("\n…\nAnswer here: https://bell.test/1")


async def test_a_message_is_answered_changed_and_removed(
    rig: TelegramRig, channel: Channel
) -> None:
    """In the chat where it is, by its number."""
    receipt = await channel.send(MESSAGE)
    for undo in ("thread", "update", "retract"):
        await channel.take_back(replace(MESSAGE, receipt=receipt, undo=undo, text="@bob"))
    _, answered, changed, removed = rig.receiver.requests
    assert answered.json["chat_id"] == CHAT
    assert answered.json["reply_parameters"]["message_id"] == 5
    assert changed.path.endswith("/editMessageText")
    assert (changed.json["message_id"], changed.json["text"]) == (5, "@\u2060bob")
    assert removed.path.endswith("/deleteMessage")
    assert removed.json == {"chat_id": CHAT, "message_id": 5}


@pytest.mark.parametrize(
    ("undo", "said"),
    [
        ("update", "Bad Request: message is not modified: specified new message content and …"),
        ("retract", "Bad Request: message to delete not found"),
    ],
)
async def test_what_is_done_already_is_done(
    rig: TelegramRig, channel: Channel, undo: str, said: str
) -> None:
    """An earlier attempt may have made the change, whose answer was lost."""
    receipt = await channel.send(MESSAGE)
    rig.receiver.reply(_no(400, said))
    assert await channel.take_back(replace(MESSAGE, receipt=receipt, undo=undo)) == receipt


@pytest.mark.parametrize("target", ["office", "12a", "@a b", "-", "@é"])
async def test_what_is_no_chat_is_refused(rig: TelegramRig, channel: Channel, target: str) -> None:
    """Before anything is called."""
    with pytest.raises(SendError, match="number of a chat") as caught:
        await channel.send(replace(MESSAGE, target=target))
    assert caught.value.permanent
    assert rig.receiver.requests == []


async def test_a_pause_is_as_long_as_telegram_says(rig: TelegramRig, channel: Channel) -> None:
    """In the answer, not in a header; it is no failed attempt."""
    error = await _failure(rig, channel, _no(429, "Too Many Requests", retry_after=35))
    assert (error.not_now, error.retry_after) == (True, timedelta(seconds=35))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_no(400, "Bad Request: chat not found"), r"add the bot, and check the number"),
        (_no(403, "Forbidden: bot was blocked by the user"), "has blocked the bot"),
        (_no(403, "Forbidden: bot can't initiate conversation with a user"), "write to the bot"),
        (_no(403, "Forbidden: something new"), r"may not write there|documentation"),
        (_no(401, "Unauthorized"), r"copy it again from @BotFather|documentation"),
        (_no(404, "Not Found"), "copy it again from @BotFather"),
        (_no(400, "Bad Request: hidden"), r"documentation of Telegram \(400\)"),
        (_no(400, "Bad Request: group chat", migrate_to_chat_id=-100777), "new number -100777"),
    ],
    ids=str,
)
async def test_a_refusal_is_final_and_says_why(
    rig: TelegramRig, channel: Channel, answer: Answer, sentence: str
) -> None:
    """The operator reads what to do; what Telegram says of a token is not repeated."""
    error = await _failure(rig, channel, answer)
    assert error.permanent
    assert "hidden" not in str(error)
    with pytest.raises(SendError, match=f"^Telegram refused: .*{sentence}"):
        raise error


@pytest.mark.parametrize("body", [b"<html>", {"ok": False}, {"result": {}}, ["ok"]])
async def test_a_200_without_ok_is_no_success(
    rig: TelegramRig, channel: Channel, body: bytes
) -> None:
    """Only `"ok": true` is; with anything else it is open what happened."""
    error = await _failure(rig, channel, Answer(200, body))
    assert error.outcome_unknown


@pytest.mark.parametrize(
    "given", [{"token": "hidden token"}, {"token": "1:a", "api_url": "hidden"}, {}]
)
def test_faulty_options_are_refused_without_repeating_them(given: dict[str, str]) -> None:
    """A fault in a token must not print the token."""
    with pytest.raises(ValidationError) as caught:
        TelegramOptions.model_validate({"name": "x", "kind": "telegram", **given})
    assert "hidden" not in str(caught.value)
