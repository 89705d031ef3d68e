"""Teams: the card that is posted, what is cut off, and what a workflow's refusals mean."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from service.channels import Channel
from service.channels.teams import TeamsOptions
from service.clock import VirtualClock
from service.errors import SendError
from service.http.client import open_client
from tests.contract.channel_rigs import MESSAGE, TeamsRig, configured, opened
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver, Request

LIMIT = 28_000


@pytest.fixture
def rig() -> TeamsRig:
    return TeamsRig()


@pytest.fixture
def workflow(rig: TeamsRig) -> HttpReceiver:
    return rig.receiver


@pytest.fixture
async def channel(rig: TeamsRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


def _no(status: int, code: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": "hidden"}})


def _shown(request: Request) -> str:
    [attachment] = request.json["attachments"]
    [block] = attachment["content"]["body"]
    text: str = block["text"]
    return text


async def _posted(workflow: HttpReceiver, channel: Channel, text: str) -> str:
    await channel.send(replace(MESSAGE, text=text))
    return _shown(workflow.requests[-1])


async def _failure(workflow: HttpReceiver, channel: Channel, answer: Answer) -> SendError:
    workflow.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    return caught.value


async def test_the_message_is_a_card_as_workflows_take_it(
    workflow: HttpReceiver, channel: Channel
) -> None:
    """One attachment with an Adaptive Card; the header says how emoji are written."""
    workflow.reply(Answer(202))
    assert await channel.send(MESSAGE) == {}
    [request] = workflow.requests
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.json == {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.2",
                    "msteams": {"width": "Full"},
                    "body": [{"type": "TextBlock", "text": MESSAGE.text, "wrap": True}],
                },
            }
        ],
    }


async def test_the_address_is_called_as_it_was_copied(clock: VirtualClock) -> None:
    """Its signature is escaped, and would not be valid if that were done anew."""
    query = "api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=a%2Bb%2Fc%3D"
    async with HttpReceiver() as workflow, open_client(LOOPBACK) as client:
        url = f"{workflow.url}/workflows/1/triggers/manual/paths/invoke?{query}"
        await configured("teams", client, clock, url=url).send(MESSAGE)
    assert workflow.requests[0].query["sp"] == "/triggers/manual/run"
    assert workflow.requests[0].query["sig"] == "a+b/c="


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Smith** is _done_", "**Smith** is _done_"),
        ("Smith\nJones", "Smith\n\nJones"),
        ("Smith\r\n\n\n    Jones\n", "Smith\n\nJones"),
        ("Today:\n- Smith\n- Jones\n  - roof\nBye", "Today:\n- Smith\n- Jones\n  - roof\n\nBye"),
        ("1. Smith\n2) Jones", "1. Smith\n2) Jones"),
        ("-5 °C\n2.5 hours\n3.", "-5 °C\n\n2.5 hours\n\n3."),
    ],
)
async def test_lines_stay_lines(
    workflow: HttpReceiver, channel: Channel, text: str, shown: str
) -> None:
    """Teams joins lines that only follow each other, and indents lists with blank lines."""
    assert await _posted(workflow, channel, text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://t.test/a?b=1&c=2", "[https://t.test/a?b=1&c=2](https://t.test/a?b=1&c=2)"),
        ("See http://t.test/a.", "See [http://t.test/a](http://t.test/a)."),
        ("**https://t.test**", "**[https://t.test](https://t.test)**"),
        ("(https://t.test)", "([https://t.test](https://t.test))"),
        ("http:// and https", "http:// and https"),
    ],
)
async def test_an_address_can_be_clicked(
    workflow: HttpReceiver, channel: Channel, text: str, shown: str
) -> None:
    """Teams makes no link of what is not written as one, and approvers need theirs."""
    assert await _posted(workflow, channel, text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[Your bank](https://e.test)", "[Your bank] ([https://e.test](https://e.test))"),
        ("[Your bank][1]\n[1]: e.test", "[Your bank] [1]\n\n[1] : e.test"),
        ("![x](y)", "![x] (y)"),
    ],
)
async def test_a_link_cannot_be_disguised(
    workflow: HttpReceiver, channel: Channel, text: str, shown: str
) -> None:
    """A task's title cannot show one address and lead to another."""
    assert await _posted(workflow, channel, text) == shown


@pytest.mark.parametrize(
    "text", ["Smith & Sons: ✅ gutters\n" * 2_000, "é" * 40_000, "\\" * 40_000]
)
async def test_a_long_text_is_cut(workflow: HttpReceiver, channel: Channel, text: str) -> None:
    """Teams takes 28 KB of everything; the workflow would say 202 and lose the message."""
    shown = await _posted(workflow, channel, text)
    assert LIMIT - 500 < len(workflow.requests[0].body) <= LIMIT
    assert shown.removesuffix("\n\n…")[:40] == text.replace("\n", "\n\n")[:40]
    assert shown.endswith(("\n\n…", "…\n\nSmith & Sons: ✅ gutters"))


async def test_what_just_fits_is_not_cut(workflow: HttpReceiver, channel: Channel) -> None:
    """The last byte is used."""
    await channel.send(replace(MESSAGE, text="x"))
    room = LIMIT - len(workflow.requests[0].body) + 1
    assert "…" not in await _posted(workflow, channel, "x" * room)
    assert len(workflow.requests[-1].body) == LIMIT
    assert "…" in await _posted(workflow, channel, "x" * (room + 1))


async def test_the_last_line_of_a_long_text_stays(workflow: HttpReceiver, channel: Channel) -> None:
    """An approver answers by the link that stands there, and no link is cut in two."""
    question = "See https://t.test/abc\n" * 3_000 + "Answer here: https://bell.test/approvals/7"
    shown = await _posted(workflow, channel, question)
    link = "[https://bell.test/approvals/7](https://bell.test/approvals/7)"
    assert shown.endswith(f"\n\n…\n\nAnswer here: {link}")
    whole = "[https://t.test/abc](https://t.test/abc)"
    assert {*shown.split()} == {"See", whole, "…", "Answer", "here:", link}


async def test_an_empty_text_is_not_posted(workflow: HttpReceiver, channel: Channel) -> None:
    """A template may come to nothing, and a card of nothing helps nobody."""
    with pytest.raises(SendError, match="text is empty") as caught:
        await channel.send(replace(MESSAGE, text=" \n"))
    assert caught.value.permanent
    assert workflow.requests == []


@pytest.mark.parametrize("status", [200, 202])
async def test_accepted_is_success(workflow: HttpReceiver, channel: Channel, status: int) -> None:
    """202 from the template's workflow; 200 from one that has an answer of its own."""
    workflow.reply(Answer(status))
    assert await channel.send(MESSAGE) == {}


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "90"}, timedelta(seconds=90)),
        ({"retry-after": "Fri, 06 Mar 2026 12:01:30 GMT"}, timedelta(seconds=90)),
        ({}, timedelta(minutes=1)),
    ],
    ids=["seconds", "date", "nothing"],
)
async def test_too_many_are_sent_later(
    workflow: HttpReceiver, channel: Channel, headers: dict[str, str], pause: timedelta
) -> None:
    """429 is no failed attempt; Retry-After says how long, else it is a minute."""
    error = await _failure(workflow, channel, Answer(429, headers=headers))
    assert (error.not_now, error.retry_after) == (True, pause)
    assert str(error) == "Teams asked Taskbell to slow down"


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_a_failure_of_teams_leaves_the_outcome_unknown(
    workflow: HttpReceiver, channel: Channel, status: int
) -> None:
    """The gateway says so, and the workflow behind it may have begun."""
    error = await _failure(workflow, channel, Answer(status, b"<html>a gateway's page</html>"))
    assert (error.outcome_unknown, error.permanent) == (True, False)
    assert str(error) == f"Teams answered {status}"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_no(400, "WorkflowTriggerIsNotEnabled"), "was turned off or deleted; turn it on"),
        (_no(400, "TriggerInputSchemaMismatch"), "make one from the template"),
        (_no(401, "DirectApiAuthorizationRequired"), "let anyone start it"),
        (_no(401, "AuthorizationFailed"), "copy it again"),
        (_no(404, "WorkflowNotFound"), r"make a new one \(WorkflowNotFound\)"),
        (_no(400, "SomethingNew"), r"see the documentation of Teams \(SomethingNew\)"),
        (Answer(401), r"copy it again from the workflow \(401\)"),
        (Answer(403), r"ask its administrator \(403\)"),
        (Answer(404, b"<html>"), r"make a new one \(404\)"),
        (Answer(413, ["not", "Azure"]), r"too large \(413\)"),
        (Answer(400, {"error": "no"}), r"documentation of Teams \(400\)"),
        (Answer(302, headers={"location": "https://elsewhere.test"}), r"\(302\)"),
    ],
)
async def test_a_refusal_is_final_and_says_why(
    workflow: HttpReceiver, channel: Channel, answer: Answer, sentence: str
) -> None:
    """The operator reads what to do; asking again would not help."""
    error = await _failure(workflow, channel, answer)
    assert error.permanent
    with pytest.raises(SendError, match=f"^Teams refused: .*{sentence}"):
        raise error


async def test_a_refusal_repeats_nothing_that_is_secret(
    workflow: HttpReceiver, channel: Channel
) -> None:
    """Neither the sentence nor the name of an error is quoted where it could be a signature."""
    error = await _failure(workflow, channel, _no(401, TeamsRig.secrets[0]))
    assert TeamsRig.secrets[0] not in str(error)
    assert "hidden" not in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "hidden",
        "ftp://hidden.test/x",
        "https://acme.webhook.office.com/webhookb2/hidden",
        "https://outlook.office.com/webhook/hidden",
    ],
)
def test_a_faulty_address_is_refused_without_repeating_it(url: str) -> None:
    """Also one of the connectors, which Microsoft has retired and whose 200 meant nothing."""
    with pytest.raises(ValidationError) as caught:
        TeamsOptions.model_validate({"name": "office", "kind": "teams", "url": url})
    assert "hidden" not in str(caught.value)
