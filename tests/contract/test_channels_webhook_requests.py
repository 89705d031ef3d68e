"""Webhooks to an API that has its own ideas: method, headers, body, login, and what is success."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from standardwebhooks import Webhook

from service.channels import Message
from service.channels.webhook_request import WebhookOptions
from service.clock import SystemClock, VirtualClock
from service.errors import SendError
from service.http.client import open_client
from service.rules.language.request_templates import RequestTemplate
from tests.contract.channel_rigs import MESSAGE, configured
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver, Request

NEW, OLD = "whsec_c2VjcmV0LW9mLXRoZS1ob29r", "whsec_dGhlLXNlY3JldC1iZWZvcmUtaXQ="
HOSTILE = 'Smith", "admin": true, "x": "\n\\ {{ task.id }} é \x07'


@pytest.fixture
async def api() -> AsyncIterator[HttpReceiver]:
    async with HttpReceiver() as api:
        yield api


async def _sent(api: HttpReceiver, message: Message = MESSAGE, **options: Any) -> Request:
    path = options.pop("path", "/notify")
    async with open_client(LOOPBACK) as client:
        clock = VirtualClock(datetime(2026, 3, 6, 12, tzinfo=UTC))
        options = {"url": f"{api.url}{path}", **options}
        await configured("webhook", client, clock, **options).send(message)
    return api.requests[-1]


async def _failure(api: HttpReceiver, answer: Answer, **options: Any) -> SendError:
    api.reply(answer)
    with pytest.raises(SendError) as caught:
        await _sent(api, **options)
    return caught.value


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_the_method_is_the_one_that_was_chosen(api: HttpReceiver, method: str) -> None:
    """With the documented body, as long as no other is given."""
    sent = await _sent(api, method=method)
    assert (sent.method, sent.json["type"]) == (method, "task.completed")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_method_without_a_body_sends_none(api: HttpReceiver, method: str) -> None:
    """What there is to say is in the address."""
    sent = await _sent(api, method=method, path="/send?to=1&text={{ text }}")
    assert (sent.method, sent.body) == (method, b"")
    assert sent.query == {"to": "1", "text": MESSAGE.text}


async def test_a_body_is_made_of_the_message(api: HttpReceiver) -> None:
    """A value is a text within quotes, and itself outside of them."""
    body = """{"text": "✅ {{ text | upcase }}", "done": {{ task.done }}, "was": {{ before }},
      "who": {{ task.assignee.name }}, "by": "{{ task.assignee.name }}",
      "tags": [{% for t in task.tags %}{{ t }}{% unless forloop.last %}, {% endunless %}
      {% endfor %}], "key": "{{ key }}", "at": "{{ timestamp }}"}"""
    task = {"id": "T1", "title": "Smith", "done": True, "tags": ["a", 'b"']}
    sent = await _sent(api, replace(MESSAGE, task=task, before=None), body=body)
    assert sent.headers["content-type"] == "application/json"
    assert sent.json == {
        "text": f"✅ {MESSAGE.text.upper()}",
        "done": True,
        "was": None,
        "who": None,
        "by": "",
        "tags": ["a", 'b"'],
        "key": MESSAGE.key,
        "at": "2026-03-06T11:59:30Z",
    }


async def test_a_name_cannot_change_the_json(api: HttpReceiver) -> None:
    """A task's title can neither break the request nor add anything to it."""
    message = replace(MESSAGE, text=HOSTILE)
    sent = await _sent(api, message, body='{"a": "<{{ text }}>", "b": {{ text }}}')
    assert sent.json == {"a": f"<{HOSTILE}>", "b": HOSTILE}


@settings(deadline=None)
@given(st.text(), st.text())
def test_no_text_can_change_the_json(text: str, title: str) -> None:
    """Every text arrives unchanged, in any place."""
    template = RequestTemplate('{"a": "x{{ text }}\\"{{ text }}", "b": {{ task.title }}}', "body")
    made = orjson.loads(template.json({"text": text, "task": {"title": title}}))
    assert made == {"a": f'x{text}"{text}', "b": title}


async def test_a_form_is_sent_in_place_of_json(api: HttpReceiver) -> None:
    """Each field is a template, and no value can add a field."""
    form = {"to": "+49{{ target }}", "message": "{{ text }}"}
    message = replace(MESSAGE, text="a&to=1 +é", target="170")
    sent = await _sent(api, message, form=form)
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(sent.body.decode()) == {"to": ["+49170"], "message": ["a&to=1 +é"]}


async def test_headers_stay_on_their_line(api: HttpReceiver) -> None:
    """They may be made of the message, and are sent in ASCII."""
    headers = {"X-Title": "{{ text }}", "Content-Type": "application/vnd.api+json"}
    message = replace(MESSAGE, text="Smith\r\nX-Admin: é")
    sent = await _sent(api, message, headers=headers)
    assert sent.headers["x-title"] == "Smith X-Admin: ?"
    assert sent.headers["content-type"] == "application/vnd.api+json"
    assert "x-admin" not in sent.headers


@pytest.mark.parametrize("target", ["a/b?c=d#e", "%2e%2e", "é &"])
async def test_a_value_cannot_lead_to_another_address(api: HttpReceiver, target: str) -> None:
    """Any value stays one part of the path."""
    async with open_client(LOOPBACK) as client:
        url = f"{api.url}/tasks/{{{{ target }}}}/notes"
        await configured("webhook", client, SystemClock(), url=url, method="PUT").send(
            replace(MESSAGE, target=target)
        )
    assert api.requests[0].path.count("/") == 3
    assert api.requests[0].query == {}


async def test_a_way_up_is_not_taken(api: HttpReceiver) -> None:
    """Two dots would be another address; nothing is sent, and the reason is told."""
    with pytest.raises(SendError, match="only dots would lead elsewhere") as caught:
        await _sent(api, replace(MESSAGE, target=".."), path="/tasks/{{ target }}/notes")
    assert caught.value.permanent
    assert api.requests == []


async def test_the_login_is_sent(api: HttpReceiver) -> None:
    """Basic authentication, RFC 7617."""
    sent = await _sent(api, user="bell", password="o:pé")
    assert sent.headers["authorization"] == "Basic YmVsbDpvOnDDqQ=="


async def test_two_secrets_sign_while_one_is_replaced(api: HttpReceiver) -> None:
    """A receiver that knows only one of them takes the webhook, whichever it is."""
    async with open_client(LOOPBACK) as client:
        given = {"url": api.url, "secret": [NEW, OLD]}
        await configured("webhook", client, SystemClock(), **given).send(MESSAGE)
    [request] = api.requests
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(request.body, request.headers)["type"] == "task.completed"


@pytest.mark.parametrize(
    ("answer", "condition"),
    [
        (Answer(200, {"ok": True}), "body.ok == true"),
        (Answer(404), "status in [200, 404]"),
        (Answer(200, b"OK: queued"), 'body.startsWith("OK")'),
        (Answer(200, headers={"x-queued": "1"}), '"x-queued" in headers'),
        (Answer(200, {"results": [{"status": "sent"}]}), 'body.results.all(r, r.status == "sent")'),
    ],
)
async def test_the_operator_says_what_success_is(
    api: HttpReceiver, answer: Answer, condition: str
) -> None:
    """A condition over the answer, in the language of rules."""
    api.reply(answer)
    await _sent(api, success=condition)


@pytest.mark.parametrize(
    ("answer", "condition", "said"),
    [
        (Answer(200, {"ok": False}), "body.ok == true", "it is not true of this answer"),
        (Answer(200, {"no": 1}), "body.ok == true", "the answer has no ok"),
        (Answer(200, b"<html>"), "body.ok == true", "it cannot be evaluated from this answer"),
        (Answer(200), "status == 202", "it is not true of this answer"),
    ],
)
async def test_a_200_that_is_no_success_is_tried_again(
    api: HttpReceiver, answer: Answer, condition: str, said: str
) -> None:
    """The receiver answered, so Taskbell knows that it did nothing."""
    error = await _failure(api, answer, success=condition)
    assert str(error) == f"127.0.0.1 answered 200; `success` is not met: {said}"
    assert (error.permanent, error.outcome_unknown) == (False, False)


async def test_an_answer_without_end_is_not_read_for_the_condition(api: HttpReceiver) -> None:
    """A condition needs the answer, but not a gigabyte of it."""
    error = await _failure(api, Answer(200, b"x" * 1_100_000), success="status == 200")
    assert "more than 1048576 bytes" in str(error)
    assert error.outcome_unknown


async def test_a_pause_is_kept_with_a_condition(api: HttpReceiver) -> None:
    """A 429 is not a failed attempt, with any `success` condition."""
    error = await _failure(api, Answer(429, headers={"retry-after": "90"}), success="body.ok")
    assert error.not_now


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "FETCH"}, "Input should be"),
        ({"body": "hidden {{ text }}"}, "body is not JSON when it is filled in"),
        ({"body": '{{ text }}{% if task %}{% else %}"hidden"{% endif %}'}, "without a task"),
        ({"body": '{"a": {{ txt }}}'}, "body: there is no txt"),
        ({"body": '{"a": {{ task.titel }}}'}, "body: a task has no titel"),
        ({"body": '{"a": {{ text | shout }}}'}, "body: there is no filter shout"),
        ({"body": '{"a": {{ text }'}, "is not closed"),
        ({"body": '"{% capture hidden %}"'}, "body cannot be read"),
        ({"body": "{{ text }}", "form": {"a": "b"}}, "cannot be combined"),
        ({"method": "GET", "body": "{{ text }}"}, "method: GET sends no body"),
        ({"method": "DELETE", "form": {"a": "b"}}, "method: DELETE sends no form"),
        ({"form": {"hidden": "{{ txt }}"}}, "there is no txt"),
        ({"headers": {"a b": "hidden"}}, "cannot be the name of a header"),
        ({"headers": {"Webhook-Id": "hidden"}}, "is set by Taskbell"),
        ({"password": "hidden"}, "password needs a user"),
        ({"success": "stats == 200"}, "success: unknown name: stats"),
        ({"success": "status"}, "success must be true or false, not a number"),
        ({"success": "body.ok = true"}, "does not fit here"),
        ({"url": "https://{{ target }}.hidden.example/"}, "address|not in its host"),
        ({"url": "https://a.example{{ target }}/"}, "address|not in its host"),
        ({"url": "https://a.example/{{ txt }}"}, "url: there is no txt"),
        ({"secret": [NEW, "hidden"]}, "whsec_"),
    ],
    ids=str,
)
def test_a_faulty_option_is_refused(options: dict[str, Any], said: str) -> None:
    """With what is wrong, and without what may be secret."""
    given = {"name": "crm", "kind": "webhook", "url": "https://a.example", **options}
    with pytest.raises(ValidationError, match=said) as caught:
        WebhookOptions.model_validate(given)
    assert "hidden " not in str(caught.value)
