"""PagerDuty: alerts by key, their summaries, and what its refusals mean."""

from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from service.channels import JSON, Channel, MessageButton
from service.clock import VirtualClock
from service.domain.operators.buttons import Button
from service.errors import SendError
from tests.contract.channel_rigs import MESSAGE, PagerDutyRig, opened
from tests.harness.receivers import Answer

KEY = "taskbell/field/T1"


@pytest.fixture
def rig() -> PagerDutyRig:
    return PagerDutyRig()


@pytest.fixture
async def channel(rig: PagerDutyRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


def _no(*errors: str) -> Answer:
    return Answer(400, {"status": "invalid event", "message": "hidden", "errors": errors})


async def _failure(rig: PagerDutyRig, channel: Channel, answer: Answer) -> SendError:
    rig.receiver.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    return caught.value


async def test_what_is_triggered(rig: PagerDutyRig, channel: Channel) -> None:
    """An alert with the severity of the channel, and the text as its summary and in its details."""
    receipt = await channel.send(replace(MESSAGE, text="No heating\nat Smith's"))
    assert receipt == {"event_action": "trigger", "dedup_key": KEY}
    assert rig.posted[0].json == {
        "routing_key": rig.secrets[0],
        "event_action": "trigger",
        "dedup_key": KEY,
        "payload": {
            "summary": "No heating at Smith's",
            "severity": "error",
            "source": "field",
            "timestamp": "2026-03-06T11:59:30+00:00",
            "class": "task.completed",
            "custom_details": {
                "text": "No heating\nat Smith's",
                "account": "field",
                "task": "T1",
                "rule": "job-done",
            },
        },
    }


@pytest.mark.parametrize(
    ("target", "action", "severity", "key"),
    [
        ("critical", "trigger", "critical", KEY),
        ("trigger", "trigger", "error", KEY),
        ("acknowledge", "acknowledge", None, KEY),
        ("resolve", "resolve", None, KEY),
        ("warning/boiler/7", "trigger", "warning", "boiler/7"),
        ("resolve/boiler/7", "resolve", None, "boiler/7"),
        ("/boiler", "trigger", "error", "boiler"),
    ],
)
async def test_the_target_says_what_becomes_of_which_alert(
    rig: PagerDutyRig, channel: Channel, target: str, action: str, severity: str | None, key: str
) -> None:
    """A severity or an action, and a key; without one it is the task's."""
    await channel.send(replace(MESSAGE, target=target))
    sent = rig.posted[0].json
    assert (sent["event_action"], sent["dedup_key"]) == (action, key)
    assert sent.get("payload", {}).get("severity") == severity


async def test_a_long_key_stays_one_key(rig: PagerDutyRig, channel: Channel) -> None:
    """PagerDuty takes 255 characters; two keys that differ further behind stay two."""
    for end in "aab":
        await channel.send(replace(MESSAGE, target=f"error/{'x' * 300}{end}"))
    first, second, third = (one.json["dedup_key"] for one in rig.posted)
    assert len(first) <= 255
    assert first == second != third


async def test_two_rules_without_a_task_are_two_alerts(rig: PagerDutyRig, channel: Channel) -> None:
    """As messages to the operator are."""
    for rule in ("account.failing", "disk.full"):
        await channel.send(replace(MESSAGE, task_id="", rule=rule))
    assert [one.json["dedup_key"] for one in rig.posted] == [
        "taskbell/field/account.failing",
        "taskbell/field/disk.full",
    ]


@pytest.mark.parametrize("task", [{"title": "Smith"}, orjson.Fragment(b'{"title": "Smith"}')])
async def test_without_a_text_the_event_is_the_summary(
    rig: PagerDutyRig, channel: Channel, task: JSON
) -> None:
    """And the title of the task."""
    await channel.send(replace(MESSAGE, text="", task=task))
    assert rig.posted[0].json["payload"]["summary"] == "task.completed: Smith"


async def test_a_long_text_is_cut_in_the_summary(rig: PagerDutyRig, channel: Channel) -> None:
    """1,024 characters on one line; the details have more."""
    await channel.send(replace(MESSAGE, text="é\n" * 20_000))
    payload = rig.posted[0].json["payload"]
    assert len(payload["summary"]) == 1024
    assert payload["summary"].endswith("…")
    assert "…" in payload["custom_details"]["text"]
    assert len(rig.posted[0].body) < 512_000


async def test_taking_back_resolves(rig: PagerDutyRig, channel: Channel) -> None:
    """The triggered alert is resolved, with any key; an acknowledgement stays."""
    message = replace(MESSAGE, target="critical/boiler")
    receipt = await channel.send(message)
    await channel.take_back(replace(message, receipt=receipt, undo="retract"))
    resolved = rig.posted[-1].json
    assert (resolved["event_action"], resolved["dedup_key"]) == ("resolve", "boiler")
    receipt = await channel.send(replace(MESSAGE, target="acknowledge"))
    with pytest.raises(SendError, match="only an alert"):
        await channel.take_back(replace(MESSAGE, receipt=receipt, undo="retract"))


async def test_an_unknown_word_is_refused(rig: PagerDutyRig, channel: Channel) -> None:
    """Before anything is called."""
    with pytest.raises(SendError, match="acknowledge or resolve") as caught:
        await channel.send(replace(MESSAGE, target="resolved"))
    assert caught.value.permanent
    assert rig.receiver.requests == []


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            _no("Length of 'routing_key' is incorrect"),
            r"copy the Integration Key .* \(routing_key\)",
        ),
        (_no("'payload.severity' is invalid"), r"does not accept this event \(invalid event\)"),
        (Answer(403), r"copy the Integration Key .* \(403\)"),
        (Answer(404), r"documentation of PagerDuty \(404\)"),
    ],
    ids=str,
)
async def test_a_refusal_is_final_and_says_why(
    rig: PagerDutyRig, channel: Channel, answer: Answer, sentence: str
) -> None:
    """The operator reads what to do; what may have been repeated is not."""
    error = await _failure(rig, channel, answer)
    assert error.permanent
    assert "hidden" not in str(error)
    with pytest.raises(SendError, match=f"^PagerDuty refused: .*{sentence}"):
        raise error


@pytest.mark.parametrize("body", [b"", {"status": "throttled"}])
async def test_only_success_is_success(rig: PagerDutyRig, channel: Channel, body: bytes) -> None:
    """For any HTTP status."""
    await _failure(rig, channel, Answer(202, body))


async def test_what_can_be_answered_has_a_link(rig: PagerDutyRig, channel: Channel) -> None:
    """The page behind it has the buttons; without any there is no link."""
    button = MessageButton(Button.ACKNOWLEDGE, "Acknowledge", "https://bell.test/answers/1", "1:a")
    await channel.send(replace(MESSAGE, target="", buttons=(button,)))
    [request] = rig.posted
    assert request.json["links"] == [{"href": "https://bell.test/answers/1", "text": "Answer"}]
