"""Answers from outside: a link in a message, a button in Slack, the API and the page of a task."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import httpx
import orjson
import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Person
from service.processes.embedded import EmbeddedValkey
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from service.store.operators import answers
from service.web.answering.slack_socket import SlackSockets
from tests.harness.corridor import Corridor, corridor
from tests.harness.site import Site, serving
from tests.harness.slack_socket import SlackSocketServer
from tests.harness.waiting import eventually

SIGNING = "slack-signing-secret-of-the-office"
RULES = """
- id: urgent
  when: task.created
  then:
    - notify: slack:#office
      text: "New: {{ task.title }}"
    - notify: accounting
  escalate:
    - { notify: "slack:#dispatch", after: 15m, text: "Nobody has {{ task.title }}" }
"""

WITHOUT_FIELD = """
- { id: other, when: task.created, accounts: [london], then: [{ notify: accounting }] }
"""


@pytest.fixture
async def taskbell(folder: Path, pool: Pool, clock: VirtualClock) -> AsyncIterator[Corridor]:
    """A firm whose Slack tells Taskbell of pressed buttons."""
    async with corridor(folder, pool, clock, RULES) as running:
        running.head["slack_options"] = f', signing_secret: "{SIGNING}"'
        await running.restart(RULES)
        await running.begin()
        yield running


@pytest.fixture
async def web(
    taskbell: Corridor, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    """The page of the same firm."""
    async with serving(taskbell.config, pool, clock, valkey.url) as running:
        yield running


async def told(taskbell: Corridor) -> tuple[str, str]:
    """A new task, of which the office is told: its id, and the path of the link in the webhook."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    await taskbell.deliver()
    [request] = taskbell.accounting.requests
    link = request.json["data"]["answer_at"]
    return str(visit["id"]), link.removeprefix("https://tasks.test")


async def is_acknowledged(taskbell: Corridor, task: str) -> str | None:
    """By whom the task is acknowledged, once a worker has seen to it."""
    await taskbell.ingest()
    known = await taskbell.snapshot(task)
    assert known is not None
    who = known["acknowledged_by"]
    return who and str(who["name"])


async def test_a_link_answers_once_and_only_when_the_button_is_pressed(
    taskbell: Corridor, web: Site
) -> None:
    """A mail scanner that follows the link changes nothing; the second press says who was first."""
    task, link = await told(taskbell)
    for _ in range(3):
        page = (await web.client.get(link)).text
        assert "Will you take care of this?" in page
    assert await is_acknowledged(taskbell, task) is None
    pressed = await web.client.post(link, data={"answer": "acknowledge"})
    assert "It was acknowledged just now." in pressed.text
    who = "the person who opened the link sent to accounting"
    assert await is_acknowledged(taskbell, task) == who
    again = await web.client.post(link, data={"answer": "acknowledge"})
    assert "has already acknowledged the task" in again.text
    assert (await taskbell.events(task)).count("acknowledged by person") == 1


@pytest.mark.parametrize("spoiled", ["token=00", "token=", "", "token=%F0%9F%92%A9"])
async def test_a_forged_link_does_nothing(taskbell: Corridor, web: Site, spoiled: str) -> None:
    """Another token, none, or the one of another message: there is no such page."""
    task, link = await told(taskbell)
    path = link.partition("?")[0]
    for answer in (
        await web.client.get(f"{path}?{spoiled}"),
        await web.client.post(f"{path}?{spoiled}", data={"answer": "acknowledge"}),
    ):
        assert answer.status_code == 404
    assert await is_acknowledged(taskbell, task) is None


async def test_a_link_of_another_message_does_nothing(taskbell: Corridor, web: Site) -> None:
    """Neither the token of another delivery nor that of an approval fits."""
    task, link = await told(taskbell)
    path, _, query = link.partition("?")
    number = int(path.rpartition("/")[2])
    for other in (number - 1, number + 1, 10**18, 10**19):
        answer = await web.client.post(f"/answers/{other}?{query}", data={"answer": "acknowledge"})
        assert answer.status_code == 404
    assert (await web.client.get(f"/approvals/{number}?{query}")).status_code == 404
    unknown = await web.client.post(link, data={"answer": "delete"})
    assert unknown.status_code == 400
    assert await is_acknowledged(taskbell, task) is None


async def test_a_link_to_what_is_over_says_so(taskbell: Corridor, web: Site) -> None:
    """The task is done, or gone: nothing is left to be taken care of."""
    task, link = await told(taskbell)
    taskbell.sandbox.kickserv.finish(task)
    await taskbell.poll(full=True)
    assert "The task is done" in (await web.client.get(link)).text
    pressed = await web.client.post(link, data={"answer": "acknowledge"})
    assert "Nothing was changed: the task is already done." in pressed.text


async def test_a_link_to_an_account_that_was_taken_out_says_so(
    taskbell: Corridor, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Nobody is promised what nobody would do: no worker reads the account's answers any more."""
    _, link = await told(taskbell)
    await taskbell.restart(WITHOUT_FIELD, without="field")
    async with serving(taskbell.config, pool, clock, valkey.url) as web:
        pressed = await web.client.post(link, data={"answer": "acknowledge"})
    why = "Nothing was changed: account field is no longer in the configuration."
    assert why in pressed.text
    assert await pool.fetchval("SELECT count(*) FROM acknowledgements") == 0


def buttons_of(taskbell: Corridor) -> dict[str, dict[str, str]]:
    """The buttons of the last message in Slack that has any, by their actions."""
    posts = (one["blocks"] for one in reversed(taskbell.slack.posted.values()))
    actions = [block for blocks in posts for block in blocks if block["type"] == "actions"]
    return {one["action_id"]: one for one in actions[0]["elements"]}


def button_of(taskbell: Corridor, action: str = "acknowledge") -> dict[str, str]:
    return buttons_of(taskbell)[action]


def pressed(button: dict[str, str]) -> dict[str, Any]:
    """What Slack says when Ann presses a button."""
    return {
        "type": "block_actions",
        "user": {"id": "U1", "username": "ann", "name": button.get("who", "Ann  Lee")},
        "actions": [{"action_id": button["action_id"], "value": button["value"]}],
        "response_url": button.get("reply_to", ""),
    }


async def press(
    web: Site, clock: VirtualClock, button: dict[str, str], secret: str = SIGNING
) -> httpx.Response:
    """What Slack sends then."""
    payload = pressed(button)
    body = urlencode({"payload": orjson.dumps(payload).decode()}).encode()
    at = str(int(clock.now().timestamp()))
    digest = hmac.digest(secret.encode(), f"v0:{at}:".encode() + body, sha256).hex()
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": at,
        "x-slack-signature": f"v0={digest}",
    }
    return await web.client.post("/slack/actions", content=body, headers=headers)


async def test_a_button_in_slack(taskbell: Corridor, web: Site, clock: VirtualClock) -> None:
    """Who presses it has the task; the message says so and has no button any more."""
    task, _ = await told(taskbell)
    button = button_of(taskbell)
    assert (await press(web, clock, button)).status_code == 200
    assert await is_acknowledged(taskbell, task) == "Ann Lee"
    await taskbell.deliver()
    [post] = taskbell.slack.posted.values()
    assert "Ann Lee acknowledged the task" in post["text"]
    assert [one["type"] for one in post["blocks"]] == ["section"]
    assert (await press(web, clock, button)).status_code == 200
    assert (await taskbell.events(task)).count("acknowledged by person") == 1


async def test_a_name_of_any_letters_is_taken(
    taskbell: Corridor, web: Site, clock: VirtualClock
) -> None:
    """What a database or a terminal cannot take is shown as a sign, and nothing is lost."""
    task, _ = await told(taskbell)
    button = button_of(taskbell) | {"who": "Ann\x00\x1b[2J" + "x" * 500}
    assert (await press(web, clock, button)).status_code == 200
    name = await is_acknowledged(taskbell, task)
    assert name is not None
    assert name.startswith("Ann")
    assert name.isprintable()
    assert len(name) <= 80


async def test_a_forged_button_does_nothing(
    taskbell: Corridor, web: Site, clock: VirtualClock
) -> None:
    """Neither without Slack's signature, nor with it for another person's message."""
    task, _ = await told(taskbell)
    button = button_of(taskbell)
    assert (await press(web, clock, button, "guess")).status_code == 401
    number, _, proof = button["value"].partition(":")
    for value in (f"{int(number) + 1}:{proof}", f"{number}:00", number, "x", f"{10**19}:{proof}"):
        assert (await press(web, clock, button | {"value": value})).status_code == 400
    assert (await press(web, clock, button | {"action_id": "approve"})).status_code == 400
    assert await is_acknowledged(taskbell, task) is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"payload=", b"payload={}", b"payload=[1]", b"\xff"),
        b'payload={"actions":[{"value":"1:a","action_id":"x"}],"user":["U1"]}',
        b'payload={"actions":[1],"user":{"id":"U1"}}',
    ],
)
async def test_what_is_no_button_is_refused(web: Site, clock: VirtualClock, body: bytes) -> None:
    """Signed, and yet nothing that Slack sends: a clear error, and nothing breaks."""
    at = str(int(clock.now().timestamp()))
    digest = hmac.digest(SIGNING.encode(), f"v0:{at}:".encode() + body, sha256).hex()
    headers = {"x-slack-request-timestamp": at, "x-slack-signature": f"v0={digest}"}
    answer = await web.client.post("/slack/actions", content=body, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")


async def test_without_a_signing_secret_the_button_is_a_link(taskbell: Corridor) -> None:
    """Slack would not send anything here: it opens the page instead."""
    taskbell.head["slack_options"] = ""
    await taskbell.restart(RULES)
    await told(taskbell)
    assert button_of(taskbell, "answer")["url"].startswith("https://tasks.test/answers/")


async def test_the_api_and_the_page_of_the_task(taskbell: Corridor, web: Site) -> None:
    """Each says who it was; the second one is told that it comes too late."""
    task, _ = await told(taskbell)
    page = await web.client.get(f"/tasks/field/{task}")
    assert "I will take care of it" in page.text
    about = {"task": task, "account": "field"}
    answer = await web.client.post("/api/v1/acknowledgements", json=about)
    assert (answer.status_code, answer.json()["id"]) == (200, task)
    assert await is_acknowledged(taskbell, task) == "someone on this machine"
    late = await web.client.post("/api/v1/acknowledgements", json={"task": task})
    assert late.status_code == 409
    assert "has already acknowledged the task" in late.json()["detail"]
    pressed = await web.client.post(f"/tasks/field/{task}/acknowledge", data={"back": "/"})
    assert pressed.headers["location"] == "/?too_late"
    page = await web.client.get(f"/tasks/field/{task}")
    assert "I will take care of it" not in page.text
    assert "someone on this machine" in page.text
    unknown = await web.client.post("/api/v1/acknowledgements", json={"task": "404"})
    assert unknown.status_code == 404
    for wrong in ({}, {"task": 7}, {"task": task, "account": 7}):
        assert (await web.client.post("/api/v1/acknowledgements", json=wrong)).status_code == 400


async def answered(web: Site, clock: VirtualClock, taskbell: Corridor, by: str) -> None:
    """The office is told of a task, and somebody takes care of it."""
    task, link = await told(taskbell)
    about = {"task": task, "account": "field"}
    if by == "link":
        await web.client.post(link, data={"answer": "acknowledge"})
    elif by == "slack":
        await press(web, clock, button_of(taskbell))
    elif by == "api":
        await web.client.post("/api/v1/acknowledgements", json=about)
    elif by == "page":
        await web.client.post(f"/tasks/field/{task}/acknowledge", data={"back": "/"})
    else:
        key, now = ("field", task), clock.now()
        await answers.acknowledge(taskbell.pool, key, Person(name="Ann"), now, by=Actor("Ann"))


@pytest.mark.parametrize("by", ["link", "slack", "api", "page", "command"])
async def test_an_escalation_stops_before_a_worker_has_read_the_answer(
    taskbell: Corridor, web: Site, clock: VirtualClock, by: str
) -> None:
    """Who has pressed is not to be called a minute later, however busy the workers are."""
    await answered(web, clock, taskbell, by)
    await taskbell.tick(minutes=20)
    await taskbell.deliver()
    assert not any(one.startswith("Nobody has Leak") for one in taskbell.posts)
    [_, _, waiting] = await taskbell.deliveries("urgent")
    assert waiting["state"] == "cancelled"
    assert "acknowledged the task" in waiting["reason"]


DECIDING = """
- id: open
  when: task.created
  then:
    - notify: slack:#office
      text: "New: {{ task.title }}"
      buttons: [done, snooze]
  escalate: [{ notify: "slack:#dispatch", after: 2h, text: "Nobody has it" }]
- id: invoice
  when: task.completed
  then: [{ notify: slack:#office, text: "Invoice for {{ task.title }}" }]
- id: shut
  when: { signal: closing }
  then: [{ complete_task: true }]
- id: asked
  when: { signal: leaving }
  then: [{ notify: accounting, approve: "slack:#dispatch" }]
"""


@pytest.fixture
async def deciding(taskbell: Corridor) -> Corridor:
    return await taskbell.restart(DECIDING)


async def test_done_completes_the_task_and_counts_as_the_persons_own(
    deciding: Corridor, web: Site, clock: VirtualClock
) -> None:
    """The system has it done; rules about completions act, though Taskbell has written it."""
    visit = deciding.visit(name="Leak")
    await deciding.webhook(visit)
    await deciding.deliver()
    done = button_of(deciding, "done")
    assert (await press(web, clock, done)).status_code == 200
    await deciding.deliver()
    await deciding.look_up()
    assert await deciding.events(visit["id"]) == ["created by webhook", "completed by fetch"]
    await deciding.deliver()
    assert "Invoice for Leak" in deciding.posts
    [write] = [one for one in await deciding.deliveries() if one["channel"] == "complete_task"]
    assert write["state"] == "sent"
    assert (await press(web, clock, done)).status_code == 200
    assert [one["channel"] for one in await deciding.deliveries()].count("complete_task") == 1


async def test_a_snoozed_message_comes_again_and_the_escalation_waits(
    deciding: Corridor, web: Site, clock: VirtualClock
) -> None:
    """An hour later once more, with its buttons; what was to follow comes an hour later as well."""
    await deciding.webhook(deciding.visit(name="Leak"))
    await deciding.deliver()
    assert (await press(web, clock, button_of(deciding, "snooze_hour"))).status_code == 200
    assert (await press(web, clock, button_of(deciding, "snooze_hour"))).status_code == 200
    await deciding.tick(minutes=59)
    await deciding.deliver()
    assert deciding.posts == ["New: Leak"]
    await deciding.tick(minutes=1)
    await deciding.deliver()
    assert deciding.posts == ["New: Leak", "New: Leak"]
    assert set(buttons_of(deciding)) == {"done", "snooze_hour", "snooze_day"}
    await deciding.tick(minutes=119)
    await deciding.deliver()
    assert "Nobody has it" not in deciding.posts
    await deciding.tick(minutes=1)
    await deciding.deliver()
    assert "Nobody has it" in deciding.posts


async def test_a_snoozed_message_looks_as_it_did(
    taskbell: Corridor, web: Site, clock: VirtualClock
) -> None:
    """What its rule has written as a link and a mention is one the second time, too."""
    await taskbell.restart(
        """
- id: open
  when: task.created
  then:
    - notify: slack:#office
      text: "@here see [{{ task.title }}](https://firm.test/)"
      buttons: [snooze]
"""
    )
    await taskbell.webhook(taskbell.visit(name="Leak"))
    await taskbell.deliver()
    await press(web, clock, button_of(taskbell, "snooze_hour"))
    await taskbell.tick(minutes=60)
    await taskbell.deliver()
    assert taskbell.posts == ["<!here> see <https://firm.test/|Leak>"] * 2


async def test_a_message_can_be_snoozed_until_tomorrow(
    deciding: Corridor, web: Site, clock: VirtualClock
) -> None:
    """At eight in the morning of the account's zone; not if the task is done by then."""
    first, second = deciding.visit(name="Leak"), deciding.visit(name="Flood")
    for visit in (first, second):
        await deciding.webhook(visit)
        await deciding.deliver()
        await press(web, clock, button_of(deciding, "snooze_day"))
    deciding.sandbox.kickserv.finish(str(second["id"]))
    clock.advance(timedelta(minutes=1))
    await deciding.poll(full=True)
    due = [one["next_attempt_at"] for one in await deciding.deliveries("open")]
    morning = datetime(2026, 3, 7, 8, tzinfo=ZoneInfo("America/New_York"))
    assert morning in due
    clock.set(morning)
    await deciding.deliver()
    assert deciding.posts.count("New: Leak") == 2
    assert sum(one.startswith("New: Flood") for one in deciding.posts) == 1


@pytest.mark.parametrize(("action", "sent"), [("approve", 1), ("decline", 0)])
async def test_an_approver_decides_in_slack(
    deciding: Corridor, web: Site, clock: VirtualClock, action: str, sent: int
) -> None:
    """The first press counts; it is recorded who it was."""
    visit = deciding.visit(name="Leak")
    await deciding.webhook(visit)
    await deciding.webhook({"signal": "leaving", "task": visit["id"]})
    await deciding.deliver()
    buttons = buttons_of(deciding)
    other = {"approve": "decline", "decline": "approve"}[action]
    assert (await press(web, clock, buttons[action])).status_code == 200
    assert (await press(web, clock, buttons[other])).status_code == 200
    await deciding.deliver()
    assert len(deciding.accounting.requests) == sent
    assert deciding.posts[-1].endswith(f"\n({action}d by Ann Lee in Slack)")
    forged = buttons[action] | {"value": "1:00"}
    assert (await press(web, clock, forged)).status_code == 400


async def test_a_button_by_a_connection_that_taskbell_opens(
    taskbell: Corridor, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Without an address for Slack: it is heard, also after Slack has hung up."""
    async with SlackSocketServer.running("xapp-hidden") as slack:
        app_token = 'kind: slack, webhook_url: "http://127.0.0.1:9/", app_token: "xapp-hidden"'
        taskbell.head["more_channels"] = f'heard: {{ {app_token}, api_url: "{slack.url}/api/" }}'
        taskbell.head["slack_options"] = ', app_token: "xapp-other"'
        await taskbell.restart(RULES)
        task, _ = await told(taskbell)
        async with serving(taskbell.config, pool, clock, valkey.url) as web:
            listening = asyncio.create_task(SlackSockets(lambda: web.app.state.slack).follow())
            await eventually(lambda: slack.connections)
            await slack.hang_up()
            await eventually(lambda: slack.connections)
            await slack.press("1", {"type": "block_actions"})
            await slack.press("2", pressed(button_of(taskbell)))
            await eventually(lambda: slack.confirmed == ["1", "2"])
            assert await is_acknowledged(taskbell, task) == "Ann Lee"
            listening.cancel()
            await asyncio.wait([listening])
            await eventually(lambda: not slack.connections)


async def test_a_completion_seen_before_its_answer_is_the_persons_too(
    deciding: Corridor, web: Site, clock: VirtualClock
) -> None:
    """The system's answer is lost; a poll shows the task done before the write is tried again."""
    visit = deciding.visit(name="Leak")
    await deciding.webhook(visit)
    await deciding.deliver()
    await press(web, clock, button_of(deciding, "done"))
    deciding.sandbox.kickserv.faults.set(Fault(FaultKind.RESET_AFTER, method="PUT"))
    await deciding.deliver()
    clock.advance(timedelta(seconds=1))
    await deciding.poll(full=True)
    assert await deciding.events(visit["id"]) == ["created by webhook", "completed by poll"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("done", "The task is being completed."),
        ("snooze_hour", "This message comes again in an hour."),
        ("snooze_day", "This message comes again tomorrow at eight."),
    ],
)
async def test_the_page_says_what_was_done(
    deciding: Corridor, web: Site, answer: str, said: str
) -> None:
    """And offers no button any more, though the system has yet to hear of it."""
    deciding.head["slack_options"] = ""
    await deciding.restart(DECIDING)
    await deciding.webhook(deciding.visit(name="Leak"))
    await deciding.deliver()
    link = button_of(deciding, "answer")["url"].removeprefix("https://tasks.test")
    before = (await web.client.get(link)).text
    assert "the task is completed in its system." in before
    after = (await web.client.post(link, data={"answer": answer})).text
    assert said in after
    assert "<button" not in after
    again = (await web.client.post(link, data={"answer": answer})).text
    assert "Nothing was changed" in again
