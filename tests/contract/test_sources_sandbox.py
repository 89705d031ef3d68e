"""The sandbox itself: its switchboard, its webhooks, its Slack, its inbox and its staff."""

import asyncio
import hmac
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

import aiosmtplib
import httpx
import pytest

from service.clock import VirtualClock
from service.http.client import open_client
from service.sandbox.app import Sandbox, running
from service.sandbox.office import Office
from service.sandbox.plannr import ACCOUNT_UUID
from service.sandbox.push import Subscription
from service.sandbox.system import TOKEN
from service.sources import systems
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver

PLANNR = {"Authorization": f"Bearer {TOKEN}", "X-PLANNR-ACCOUNT-UUID": ACCOUNT_UUID}


@dataclass(frozen=True, slots=True)
class Town:
    """A running sandbox, somebody who listens to its webhooks, and a way to call it."""

    sandbox: Sandbox
    hooks: HttpReceiver
    client: httpx.AsyncClient

    async def call(self, method: str, path: str, **content: Any) -> Any:
        answer = await self.client.request(method, path, **content)
        assert answer.is_success, answer.text
        return answer.json()

    async def pushed(self) -> list[str]:
        """The events that were pushed, once all have come."""
        await self.sandbox.pusher.settled()
        return [request.json["event"] for request in self.hooks.requests]


@pytest.fixture
async def town(clock: VirtualClock) -> AsyncIterator[Town]:
    async with HttpReceiver() as hooks:
        sandbox = Sandbox(clock, [Subscription(f"{hooks.url}/hooks/london", "push-secret")])
        async with running(sandbox) as url, open_client(LOOPBACK) as client:
            client.base_url = httpx.URL(url)
            yield Town(sandbox, hooks, client)


async def test_plannr_signs_what_it_pushes(town: Town) -> None:
    """Hex HMAC-SHA256 of the raw body, and one webhook for each thing that happened."""
    made = town.sandbox.plannr.make(name="Call")
    town.sandbox.plannr.finish(made["uuid"])
    town.sandbox.plannr.delete(made["uuid"])
    events = await town.pushed()
    assert sorted(events) == ["task.completed", "task.created", "task.deleted", "task.updated"]
    for request in town.hooks.requests:
        signature = hmac.new(b"push-secret", request.body, sha256).hexdigest()
        assert request.headers["x-signature"] == signature


async def test_plannr_pushes_again_what_was_not_taken(town: Town) -> None:
    """A 503 is answered by the same body once more."""
    town.hooks.reply(Answer(503))
    town.sandbox.plannr.make()
    await town.pushed()
    first, second = town.hooks.requests
    assert first.body == second.body


async def test_whoever_subscribes_gets_a_secret_of_their_own(town: Town) -> None:
    """A subscription names its events, and its secret signs them."""
    wanted = {"url": f"{town.hooks.url}/mine", "events": ["task.deleted"]}
    path = "/plannr/api/v2/webhook-subscriptions"
    mine = await town.call("POST", path, json=wanted, headers=PLANNR)
    town.sandbox.plannr.delete(town.sandbox.plannr.make()["uuid"])
    await town.pushed()
    (request,) = [one for one in town.hooks.requests if one.path == "/mine"]
    signature = hmac.new(mine["signing_secret"].encode(), request.body, sha256).hexdigest()
    assert request.headers["x-signature"] == signature
    listed = await town.call("GET", path, headers=PLANNR)
    assert mine["uuid"] in [one["uuid"] for one in listed["data"]]


@pytest.mark.parametrize(
    ("push", "names"),
    [("hint", {"uuid"}), ("partial", {"uuid", "name", "updated_at"})],
)
async def test_a_push_may_be_thin(town: Town, push: str, names: set[str]) -> None:
    """What Plannr's webhooks carry is undocumented, so it is a switch."""
    town.sandbox.plannr.set_quirks(push=push)
    town.sandbox.plannr.make()
    await town.pushed()
    assert set(town.hooks.requests[0].json["data"]) == names


@pytest.mark.parametrize("system", sorted(systems()))
async def test_everything_can_be_switched_over_http(town: Town, system: str) -> None:
    """Tasks, faults, quirks and the record of calls, for whoever tests from outside."""
    board = f"/_sandbox/{system}"
    title = town.sandbox.systems[system].title
    made = await town.call("POST", f"{board}/tasks", json={title: "Call"})
    task_id = made.get("uuid") or made["id"]
    changed = await town.call("PATCH", f"{board}/tasks/{task_id}", json={title: "Call back"})
    for verb in ("finish", "reopen", "hide"):
        await town.call("POST", f"{board}/tasks/{task_id}/{verb}")
    assert town.sandbox.systems[system].listed == []
    await town.call("POST", f"{board}/tasks/{task_id}/show")
    assert len(town.sandbox.systems[system].listed) == 1
    assert changed[title] == "Call back"
    await town.call("POST", f"{board}/faults", json={"kind": "failed", "times": 1})
    assert (await town.client.get(f"/{system}/anything")).status_code == 500
    assert (await town.client.get(f"/{system}/anything")).status_code == 404
    await town.call("POST", f"{board}/faults", json={"kind": "failed", "times": 9})
    await town.call("DELETE", f"{board}/faults")
    assert (await town.call("PUT", f"{board}/quirks", json={"empty": True}))["empty"]
    record = await town.call("GET", f"{board}/record")
    assert record["requests"] == [f"GET /{system}/anything"] * 2
    await town.call("DELETE", f"{board}/tasks/{task_id}")
    assert town.sandbox.systems[system].tasks == {}


@pytest.mark.parametrize(
    ("road", "body", "says"),
    [
        ("POST faults", b'{"kind": "reste_after"}', "kind must be unauthorized, not_found"),
        ("POST faults", b'{"kind": "slow", "second": 1}', "no second here: did you mean seconds?"),
        ("PUT quirks", b'{"empti": true}', "no empti here: did you mean empty?"),
        ("PUT quirks", b'{"shift": "a lot"}', 'shift must be a whole number, not "a lot"'),
        ("POST tasks", b"[1]", "Send a JSON object."),
    ],
)
@pytest.mark.parametrize("system", sorted(systems()))
async def test_a_switch_that_is_not_there_is_named(
    town: Town, system: str, road: str, body: bytes, says: str
) -> None:
    """A 422 in words for whoever misspelt it, and nothing is switched."""
    method, switch = road.split()
    before = town.sandbox.systems[system].quirks
    answer = await town.client.request(method, f"/_sandbox/{system}/{switch}", content=body)
    assert answer.status_code == 422
    assert says in answer.text.replace("\\u0027", "'")
    assert town.sandbox.systems[system].quirks == before
    assert (await town.client.get(f"/{system}/anything")).status_code == 404


async def test_slack_posts_rewrites_and_remembers(town: Town) -> None:
    """With metadata, so that a post whose answer was lost can be found again."""
    slack = {"headers": {"Authorization": f"Bearer {TOKEN}"}}
    metadata = {"event_type": "taskbell", "event_payload": {"key": "k-1"}}
    content = {"channel": "#office", "text": "Done", "metadata": metadata}
    posted = await town.call("POST", "/slack/api/chat.postMessage", json=content, **slack)
    where = {"channel": posted["channel"], "ts": posted["ts"]}
    await town.call("POST", "/slack/api/chat.update", json={**where, "text": "Reopened"}, **slack)
    history = await town.call("GET", "/slack/api/conversations.history", params=where, **slack)
    assert [(one["text"], one["metadata"]) for one in history["messages"]] == [
        ("Reopened", metadata)
    ]
    refused = await town.call("POST", "/slack/api/auth.test")
    assert refused == {"ok": False, "error": "invalid_auth"}


async def test_the_inbox_shows_what_went_to_anybody(town: Town, clock: VirtualClock) -> None:
    """Mail, webhooks, Slack and what the systems told, oldest first."""
    headers = "From: a@x.test\r\nTo: bo@x.test\r\nSubject: Overdue\r\n\r\n"
    await aiosmtplib.send(
        f"{headers}It was due.\r\n.. a line of dots\r\n",
        sender="a@x.test",
        recipients=["bo@x.test"],
        hostname="127.0.0.1",
        port=town.sandbox.inbox.smtp_port,
    )
    clock.advance(timedelta(seconds=1))
    await town.client.post("/inbox/hooks/accounting", content=b'{"type": "task.completed"}')
    clock.advance(timedelta(seconds=1))
    made = town.sandbox.kickserv.make()
    path = f"/kickserv/acme/tasks/{made['id']}/notify.json"
    basic = {"Authorization": "Basic " + b64encode(f"{TOKEN}:{TOKEN}".encode()).decode()}
    await town.client.post(path, json={"notification_type": "on_the_way"}, headers=basic)
    messages = (await town.call("GET", "/inbox"))["messages"]
    assert [(one["by"], one["to"]) for one in messages] == [
        ("email", "bo@x.test"),
        ("webhook", "accounting"),
        ("kickserv", "on_the_way"),
    ]
    assert messages[0]["subject"] == "Overdue"
    assert messages[0]["text"].splitlines() == ["It was due.", ".. a line of dots"]


async def test_a_mail_client_that_stays_connected_does_not_keep_the_inbox_open(
    clock: VirtualClock,
) -> None:
    """Closing hangs up, without a complaint in any log."""
    async with running(sandbox := Sandbox(clock)):
        port = sandbox.inbox.smtp_port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"220")
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


async def test_the_office_starts_when_somebody_watches(town: Town, clock: VirtualClock) -> None:
    """What was on the desks before is the baseline; work begins after both were read."""
    work = asyncio.create_task(Office(town.sandbox, clock).run())
    await asyncio.sleep(0.05)
    before = len(town.sandbox.plannr.tasks), len(town.sandbox.kickserv.tasks)
    await town.client.get("/plannr/api/v1/task", headers=PLANNR)
    await asyncio.sleep(0.05)
    assert (len(town.sandbox.plannr.tasks), len(town.sandbox.kickserv.tasks)) == before == (3, 3)
    assert not work.done()
    work.cancel()


async def test_a_round_of_office_work_gives_every_road_something(
    town: Town, clock: VirtualClock
) -> None:
    """A webhook, a change that only polling sees, a date that passes, and a visit to announce."""
    office = Office(town.sandbox, clock)
    office.furnish()
    for act in office.acts * 20:
        act()
        clock.advance(timedelta(seconds=8))
    assert {"task.completed", "task.updated"} <= set(await town.pushed())
    visits = town.sandbox.kickserv.tasks.values()
    assert any(visit["completed_on"] for visit in visits)
    assert all(visit["customer"]["phone"] for visit in visits)
    assert len(visits) <= 32
    assert len(town.sandbox.plannr.tasks) <= 32


async def test_slack_keeps_nothing_that_it_refuses(town: Town) -> None:
    """Without the token, or where a fault refuses it, nothing was posted."""
    post = "/slack/api/chat.postMessage"
    content = {"channel": "#office", "text": "hi"}
    refused = await town.call("POST", post, json=content)
    assert refused == {"ok": False, "error": "invalid_auth"}
    await town.call("POST", "/_sandbox/slack/faults", json={"kind": "throttled"})
    member = {"Authorization": f"Bearer {TOKEN}"}
    answer = await town.client.post(post, json=content, headers=member)
    assert answer.status_code == 429
    assert (await town.call("GET", "/inbox"))["messages"] == []


@pytest.mark.parametrize("name", ["slack", "inbox"])
async def test_whatever_is_emulated_takes_faults(town: Town, name: str) -> None:
    """They are set, cleared and counted as those of the systems are."""
    await town.call("POST", f"/_sandbox/{name}/faults", json={"kind": "failed", "times": 9})
    assert (await town.client.get(f"/{name}/api/auth.test")).status_code == 500
    await town.call("DELETE", f"/_sandbox/{name}/faults")
    assert (await town.client.get(f"/{name}/api/auth.test")).status_code != 500
    record = await town.call("GET", f"/_sandbox/{name}/record")
    assert record["requests"] == [f"GET /{name}/api/auth.test"] * 2


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "broken_off"])
async def test_a_connection_that_is_torn_down_is_no_defect(
    town: Town, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller hears nothing more, and the sandbox itself reports no error."""
    await town.call("POST", "/_sandbox/slack/faults", json={"kind": kind})
    member = {"Authorization": f"Bearer {TOKEN}"}
    content = {"channel": "#office", "text": "hi"}
    with pytest.raises(httpx.TransportError):
        await town.client.post("/slack/api/chat.postMessage", json=content, headers=member)
    await town.call("POST", "/slack/api/chat.postMessage", json=content, headers=member)
    posted = (await town.call("GET", "/inbox"))["messages"]
    assert len(posted) == (1 if kind == "reset_before" else 2)
    assert [one.message for one in caplog.records if one.name.startswith("uvicorn")] == []
