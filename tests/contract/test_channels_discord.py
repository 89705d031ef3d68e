"""Discord: what is posted, what a text cannot do there, and what its refusals mean."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from service.channels import Channel
from service.channels.discord import DiscordOptions
from service.clock import VirtualClock
from service.errors import SendError
from tests.contract.channel_rigs import MESSAGE, DiscordRig, opened
from tests.harness.receivers import Answer


@pytest.fixture
def rig() -> DiscordRig:
    return DiscordRig()


@pytest.fixture
async def channel(rig: DiscordRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


async def _shown(rig: DiscordRig, channel: Channel, text: str) -> str:
    await channel.send(replace(MESSAGE, text=text))
    content: str = rig.posted[-1].json["content"]
    return content


async def _failure(rig: DiscordRig, channel: Channel, answer: Answer) -> SendError:
    rig.receiver.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    return caught.value


async def test_what_is_posted(rig: DiscordRig, channel: Channel) -> None:
    """The text; nobody is mentioned, nothing is previewed, and the answer has the post's id."""
    assert await channel.send(replace(MESSAGE, text="Smith is done")) == {"id": "99"}
    [request] = rig.posted
    assert request.query == {"wait": "true"}
    assert request.json == {
        "content": "Smith is done",
        "allowed_mentions": {"parse": []},
        "flags": 4,
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Smith** _x_ ~~y~~ `z` ||w||", r"\*\*Smith\*\* \_x\_ \~\~y\~\~ \`z\` \|\|w\|\|"),
        ("@everyone @here bo@x.test", "@\u200beveryone @\u200bhere bo@x.test"),
        ("<@1> <@&2> <#3> <:x:4> <t:5>", r"\<@1\> \<@&2\> \<\#3\> \<:x:4\> \<t:5\>"),
        ("[Your bank](https://e.test)", r"\[Your bank\](https://e.test)"),
        (
            "# Smith\n> Jones\n- roof\n12. x\n1) y\n-# z",
            "\\# Smith\n\\> Jones\n\\- roof\n12\\. x\n1\\) y\n\\-\\# z",
        ),
        ("https://t.test/a_b_c?x=*1*2", "https://t.test/a_b_c?x=*1*2"),
        ("See https://t.test/a_b. *Now*", r"See https://t.test/a_b. \*Now\*"),
        (r"\*Smith\*", r"\\\*Smith\\\*"),
    ],
    ids=str,
)
async def test_a_text_is_only_text(
    rig: DiscordRig, channel: Channel, text: str, shown: str
) -> None:
    """A task's title cannot format text, mention anyone, or disguise a link."""
    assert await _shown(rig, channel, text) == shown


@pytest.mark.parametrize("text", ["*" * 3000, "é_" * 3000, "👍" * 3000, "Smith *Jones* " * 500])
async def test_a_long_text_is_cut(rig: DiscordRig, channel: Channel, text: str) -> None:
    """2,000 characters with all that escapes them; no escape is cut in two."""
    shown = await _shown(rig, channel, f"{text}\nAnswer here: https://bell.test/1")
    assert 1800 < len(shown.encode("utf-16-le")) // 2 <= 2000
    assert shown.endswith("\n…\nAnswer here: https://bell.test/1")
    assert not shown.partition("\n…")[0].replace("\\\\", "").endswith("\\")


async def test_a_thread_is_written_to_and_changed(rig: DiscordRig, channel: Channel) -> None:
    """Its number stands behind the colon, and is kept for changes."""
    message = replace(MESSAGE, target="77")
    receipt = await channel.send(message)
    await channel.take_back(replace(message, receipt=receipt, undo="update", text="@everyone"))
    await channel.take_back(replace(message, receipt=receipt, undo="retract"))
    posted, changed, removed = rig.receiver.requests
    assert posted.query == {"wait": "true", "thread_id": "77"}
    assert changed.query == removed.query == {"thread_id": "77"}
    assert (changed.method, removed.method) == ("PATCH", "DELETE")
    assert changed.path == removed.path == f"{rig.path}/messages/99"
    assert changed.json["allowed_mentions"] == {"parse": []}


async def test_a_target_that_is_no_thread_is_refused(rig: DiscordRig, channel: Channel) -> None:
    """Before anything is called."""
    with pytest.raises(SendError, match="number of a thread") as caught:
        await channel.send(replace(MESSAGE, target="#office"))
    assert caught.value.permanent
    assert rig.receiver.requests == []


async def test_what_is_gone_is_removed(rig: DiscordRig, channel: Channel) -> None:
    """Someone already deleted the post, which is the wanted result."""
    receipt = await channel.send(MESSAGE)
    rig.receiver.reply(Answer(404, {"code": 10008, "message": "Unknown Message"}))
    await channel.take_back(replace(MESSAGE, receipt=receipt, undo="retract"))
    rig.receiver.reply(Answer(204))
    await channel.take_back(replace(MESSAGE, receipt=receipt, undo="retract"))
    rig.receiver.reply(Answer(404, {"code": 10008, "message": "Unknown Message"}))
    with pytest.raises(SendError, match="was deleted"):
        await channel.take_back(replace(MESSAGE, receipt=receipt, undo="update"))


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (Answer(429, {"retry_after": 64.57, "global": False}), timedelta(seconds=64.57)),
        (Answer(429, {"retry_after": 2}, {"retry-after": "9"}), timedelta(seconds=2)),
        (Answer(429, b"<html>", {"retry-after": "9"}), timedelta(seconds=9)),
        (Answer(429, b"<html>", {"retry-after": "0"}), timedelta(0)),
        (Answer(429, b"error code: 1015"), timedelta(minutes=1)),
    ],
    ids=["in the answer", "both", "header", "at once", "neither"],
)
async def test_a_pause_is_as_long_as_discord_says(
    rig: DiscordRig, channel: Channel, answer: Answer, pause: timedelta
) -> None:
    """To the fraction of a second; it is no failed attempt."""
    error = await _failure(rig, channel, answer)
    assert (error.not_now, error.retry_after) == (True, pause)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(404, {"code": 10015}), r"make a new one in the channel's settings \(10015\)"),
        (Answer(401, {"code": 50027}), r"copy it again from the channel's settings \(50027\)"),
        (Answer(400, {"code": 220001}), r"write its number behind the colon \(220001\)"),
        (Answer(400, {"code": 99, "message": "hidden"}), r"documentation of Discord \(99\)"),
        (Answer(404, b"<html>"), r"make a new one in the channel's settings \(404\)"),
        (Answer(403, {"code": 50013}), r"documentation of Discord \(50013\)"),
    ],
    ids=str,
)
async def test_a_refusal_is_final_and_says_why(
    rig: DiscordRig, channel: Channel, answer: Answer, sentence: str
) -> None:
    """The operator reads what to do; asking again would not help."""
    error = await _failure(rig, channel, answer)
    assert error.permanent
    with pytest.raises(SendError, match=f"^Discord refused: .*{sentence}"):
        raise error


async def test_a_page_of_a_firewall_is_no_refusal(rig: DiscordRig, channel: Channel) -> None:
    """It says nothing of Discord, and may be gone in a minute."""
    page = Answer(403, b"<html>blocked</html>", {"content-type": "text/html"})
    error = await _failure(rig, channel, page)
    assert (error.permanent, error.outcome_unknown) == (False, False)
    assert "a firewall or a proxy may be in between" in str(error)


async def test_another_answer_of_200_is_no_success(rig: DiscordRig, channel: Channel) -> None:
    """The page of a hotel's network, for one."""
    error = await _failure(rig, channel, Answer(200, b"<html>Welcome</html>"))
    assert error.outcome_unknown
    assert str(error) == "something answered 200, but not as Discord does"


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_failure_leaves_the_outcome_unknown(
    rig: DiscordRig, channel: Channel, status: int
) -> None:
    """The message may have been posted."""
    assert (await _failure(rig, channel, Answer(status))).outcome_unknown


@pytest.mark.parametrize("url", ["https://discord.com/channels/1/hidden", "hidden", "https://a.b/"])
def test_an_address_of_something_else_is_refused(url: str) -> None:
    """The error does not repeat it: anyone who knows it could post."""
    with pytest.raises(ValidationError) as caught:
        DiscordOptions.model_validate({"name": "x", "kind": "discord", "url": url})
    assert "hidden" not in str(caught.value)
