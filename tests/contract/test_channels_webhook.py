"""Outgoing webhooks: the body, the signature, and what each answer means."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook

from service.channels.webhook import WebhookChannel
from service.channels.webhook_request import WebhookOptions
from service.clock import Clock, SystemClock, VirtualClock
from service.errors import SendError
from service.http.client import open_client
from tests.contract.channel_rigs import MESSAGE, TIMEOUT
from tests.harness.receivers import LOOPBACK, Answer, Fault, HttpReceiver

WHSEC = "whsec_c2VjcmV0LW9mLXRoZS1ob29r"


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with HttpReceiver() as receiver:
        yield receiver


async def _send(
    receiver: HttpReceiver, clock: Clock, *, secret: str | None = None, times: int = 1
) -> None:
    given = {"name": "crm", "kind": "webhook", "url": receiver.url, "timeout": TIMEOUT}
    options = WebhookOptions.model_validate({**given, "secret": secret})
    async with open_client(LOOPBACK) as client:
        channel = WebhookChannel(options, client, clock)
        for _ in range(times):
            await channel.send(MESSAGE)


async def _failure(receiver: HttpReceiver, clock: Clock, answer: Answer) -> SendError:
    receiver.reply(answer)
    with pytest.raises(SendError) as caught:
        await _send(receiver, clock)
    return caught.value


async def test_the_body_is_the_documented_one(receiver: HttpReceiver, clock: VirtualClock) -> None:
    """What interface.md promises to those who write receivers."""
    await _send(receiver, clock)
    assert receiver.requests[0].headers["content-type"] == "application/json"
    assert receiver.requests[0].json == {
        "type": "task.completed",
        "timestamp": "2026-03-06T11:59:30Z",
        "data": {
            "event": MESSAGE.event,
            "task": MESSAGE.task,
            "before": MESSAGE.before,
            "rule": "job-done",
            "text": MESSAGE.text,
        },
    }


@pytest.mark.parametrize(
    ("secret", "key"),
    [(WHSEC, WHSEC), ("whsec_Zm9vYmFyZm9vYmFyZm9vYg", "whsec_Zm9vYmFyZm9vYmFyZm9vYg==")],
)
async def test_the_reference_library_accepts_the_signature(
    receiver: HttpReceiver, secret: str, key: str
) -> None:
    """A receiver that verifies with the Standard Webhooks library takes what was sent."""
    await _send(receiver, SystemClock(), secret=secret, times=2)
    verifier = Webhook(key)
    for request in receiver.requests:
        assert verifier.verify(request.body, request.headers)["type"] == "task.completed"


async def test_each_attempt_is_signed_anew(receiver: HttpReceiver, clock: VirtualClock) -> None:
    """The id stays and the time moves on, or a receiver would refuse the retry as too old."""
    await _send(receiver, clock, secret=WHSEC)
    clock.advance(timedelta(hours=10))
    await _send(receiver, clock, secret=WHSEC)
    first, second = (request.headers for request in receiver.requests)
    assert first["webhook-id"] == second["webhook-id"] == MESSAGE.key
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 36_000
    assert first["webhook-signature"] != second["webhook-signature"]


async def test_without_a_secret_nothing_is_signed(
    receiver: HttpReceiver, clock: VirtualClock
) -> None:
    """No signature is better than one that anybody could make."""
    await _send(receiver, clock)
    assert "webhook-signature" not in receiver.requests[0].headers


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_success(receiver: HttpReceiver, clock: VirtualClock, status: int) -> None:
    """Every status from 200 to 299 counts as delivered."""
    receiver.reply(Answer(status))
    await _send(receiver, clock)


async def test_410_ends_it(receiver: HttpReceiver, clock: VirtualClock) -> None:
    """A receiver that says "gone" wants no more, and gets no more."""
    assert (await _failure(receiver, clock, Answer(410))).permanent


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 408, 422, 500, 503])
async def test_everything_else_is_tried_again(
    receiver: HttpReceiver, clock: VirtualClock, status: int
) -> None:
    """A receiver that is being repaired or deployed gets the webhook later, by the schedule."""
    error = await _failure(receiver, clock, Answer(status))
    assert (error.permanent, error.outcome_unknown, error.retry_after) == (False, False, None)
    assert str(status) in str(error)


async def test_a_redirect_is_not_followed(receiver: HttpReceiver, clock: VirtualClock) -> None:
    """The body goes where the operator said and nowhere else."""
    async with HttpReceiver() as elsewhere:
        await _failure(receiver, clock, Answer(307, headers={"location": elsewhere.url}))
    assert elsewhere.requests == []


async def test_a_receiver_that_does_not_say_how_long_gets_a_minute(
    receiver: HttpReceiver, clock: VirtualClock
) -> None:
    """429 asks for less, even without a Retry-After; of 502 and 504 nobody knows."""
    assert (await _failure(receiver, clock, Answer(429))).retry_after == timedelta(minutes=1)
    for status in (502, 504):
        assert (await _failure(receiver, clock, Answer(status))).retry_after is None


@pytest.mark.parametrize("asked", ["90", "Fri, 06 Mar 2026 12:01:30 GMT"], ids=["seconds", "date"])
async def test_retry_after_is_honoured(
    receiver: HttpReceiver, clock: VirtualClock, asked: str
) -> None:
    """Retry-After is heeded as a number of seconds and as a date."""
    error = await _failure(receiver, clock, Answer(503, headers={"retry-after": asked}))
    assert error.retry_after == timedelta(seconds=90)


async def test_the_timeout_is_for_the_whole_attempt(
    receiver: HttpReceiver, clock: VirtualClock
) -> None:
    """However long the client itself would wait, an attempt ends when it was said to."""
    error = await _failure(receiver, clock, Answer(delay=30))
    assert str(error) == "127.0.0.1 did not answer within 2 s"


async def test_a_long_answer_is_not_read(receiver: HttpReceiver, clock: VirtualClock) -> None:
    """A receiver that never stops talking costs neither memory nor time."""
    receiver.reply(Answer(200, b"x" * 100_000, headers={"content-length": "1000000000000"}))
    await _send(receiver, clock)


async def test_connections_are_kept(receiver: HttpReceiver, clock: VirtualClock) -> None:
    """Message after message goes over one connection."""
    receiver.reply(*[Answer(200, b"thank you")] * 5)
    await _send(receiver, clock, times=5)
    assert receiver.connections == 1


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.HALF])
async def test_a_broken_answer_is_no_answer(
    receiver: HttpReceiver, clock: VirtualClock, fault: Fault
) -> None:
    """Whatever breaks once the request is on its way, the webhook may have arrived."""
    error = await _failure(receiver, clock, Answer(fault=fault))
    assert error.outcome_unknown


async def test_private_addresses_are_refused(receiver: HttpReceiver, clock: VirtualClock) -> None:
    """A webhook reaches into the operator's own network only if that was allowed."""
    options = WebhookOptions.model_validate({"name": "crm", "kind": "webhook", "url": receiver.url})
    async with open_client() as client:
        with pytest.raises(SendError, match=r"network\.allow") as caught:
            await WebhookChannel(options, client, clock).send(MESSAGE)
    assert not caught.value.outcome_unknown
    assert receiver.requests == []


@pytest.mark.parametrize(
    "given",
    [
        {"url": "ftp://hidden.example"},
        {"url": "hidden"},
        {"url": "https://"},
        {"url": "https://hidden.example:port"},
        {"url": "https://a.example", "secret": "whsec_hidden!"},
        {"url": "https://a.example", "secret": ""},
        {"url": "https://a.example", "secrets": "hidden"},
    ],
)
def test_faulty_options_are_refused_without_repeating_them(given: dict[str, str]) -> None:
    """A fault in a secret must not print the secret."""
    with pytest.raises(ValidationError) as caught:
        WebhookOptions.model_validate({"name": "crm", "kind": "webhook", **given})
    assert "hidden" not in str(caught.value)


async def test_a_task_without_a_past_has_none(receiver: HttpReceiver, clock: VirtualClock) -> None:
    """`before` is null for a created task, and times are in UTC."""
    options = WebhookOptions.model_validate({"name": "crm", "kind": "webhook", "url": receiver.url})
    message = replace(MESSAGE, before=None, at=datetime(2026, 7, 1, 8, 0, tzinfo=UTC))
    async with open_client(LOOPBACK) as client:
        await WebhookChannel(options, client, clock).send(message)
    assert receiver.requests[0].json["data"]["before"] is None
    assert receiver.requests[0].json["timestamp"] == "2026-07-01T08:00:00Z"
