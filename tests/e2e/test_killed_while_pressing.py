"""A process is killed between a button that somebody presses and what that does.

By each way at once: Slack's request, its connection, the page behind a link, and the API. What was
stored has its effect, once; what was not can be pressed again.
"""

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import httpx
import orjson
import psutil
import pytest

from service.clock import SystemClock
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from service.sandbox.kickserv import employee
from tests.harness.line import Cut, HttpLine
from tests.harness.receivers import HttpReceiver
from tests.harness.running import Taskbell, taskbell
from tests.harness.slack_receiver import SlackReceiver
from tests.harness.slack_socket import SlackSocketServer
from tests.harness.waiting import eventually

PATIENCE = 75.0  # seconds; a dead worker's leases take 8 of them
SIGNING, TOKEN, APP = (
    "slack-signing-secret-of-the-office",
    "a-token-of-24-characters",
    "xapp-hidden",
)
ADDRESS = "https://tasks.test"
ANN = employee("Ann Lee", 5)
CONFIGURATION = """
version: 1
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
  field:
    {{ system: kickserv, base_url: "{system}/kickserv", slug: acme, token: sandbox, poll: 60s,
       timezone: America/New_York, per_minute: 100000, timeout: 60s, webhook: {{ verify: none }} }}
channels:
  slack: {{ kind: slack, token: xoxb-hidden, signing_secret: "{signing}", rate: 1000/s,
            api_url: "{slack}/api/", timeout: 60s }}
  heard: {{ kind: slack, webhook_url: "http://127.0.0.1:9/", app_token: "{app}",
            api_url: "{socket}/api/" }}
  accounting: {{ kind: webhook, url: "{accounting}/hook" }}
people: {{ Ann Lee: {{ slack: U1 }} }}
rules:
- id: open
  when: task.created
  if: task.title.startsWith("open")
  then:
    - {{ notify: "slack:#office", text: "{{{{ task.title }}}}",
         buttons: [acknowledge, take, done, snooze] }}
    - {{ notify: accounting, text: "{{{{ task.title }}}}", buttons: [acknowledge] }}
- id: asked
  when: task.created
  if: task.title.startsWith("asked")
  then: [{{ notify: accounting, text: "{{{{ task.title }}}}", approve: "slack:#office" }}]
"""
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
CONNECTIONS = 5  # that the web process has for its pages
COUNTED = "SELECT count(*) FROM changes"
Press = Callable[[], Awaitable[httpx.Response | None]]


@dataclass(frozen=True, slots=True)
class Firm:
    """A whole Taskbell, those it talks to, and the visits of the firm by their names."""

    running: Taskbell
    sandbox: Sandbox
    slack: SlackReceiver
    socket: SlackSocketServer
    accounting: HttpReceiver
    lines: Sequence[HttpLine]
    visits: dict[str, str]
    buttons: dict[str, dict[str, str]]

    async def book(self, *names: str) -> None:
        """Visits come in, and the office is told of each; it keeps the buttons of what it was told.

        As one does who has the message open: it has none any more once it is answered.
        """
        start = SystemClock().now() + timedelta(days=1)
        async with httpx.AsyncClient(base_url=self.running.url) as client:
            for name in names:
                visit = self.sandbox.kickserv.make(
                    name=name, scheduled_at=start, ends_at=start + timedelta(hours=1)
                )
                self.visits[name] = str(visit["id"])
                answer = await client.post("/hooks/field", json=visit)
                assert answer.status_code == httpx.codes.ACCEPTED
        await eventually(lambda: len(self.slack.posted) == len(names), PATIENCE)
        told = [name for name in names if name.startswith("open")]
        await eventually(lambda: len(self.accounting.requests) == len(told), PATIENCE)
        for name in names:
            [blocks] = [one["blocks"] for one in self.slack.posted.values() if name in str(one)]
            [actions] = [one for one in blocks if one["type"] == "actions"]
            self.buttons[name] = {one["action_id"]: one["value"] for one in actions["elements"]}

    def pressed(self, name: str, action: str) -> dict[str, Any]:
        """What Slack tells of a button that Ann presses."""
        return {
            "type": "block_actions",
            "user": {"id": "U1", "name": "Ann Lee"},
            "actions": [{"action_id": action, "value": self.buttons[name][action]}],
        }

    async def by_slack(self, name: str, action: str) -> httpx.Response:
        body = urlencode({"payload": orjson.dumps(self.pressed(name, action)).decode()}).encode()
        at = str(int(time.time()))
        digest = hmac.digest(SIGNING.encode(), f"v0:{at}:".encode() + body, sha256).hex()
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": at,
            "x-slack-signature": f"v0={digest}",
        }
        return await self._post("/slack/actions", content=body, headers=headers)

    async def by_socket(self, name: str, action: str) -> None:
        """Slack tells it once more on the next connection, if nobody has confirmed it."""
        await self.socket.press(name, self.pressed(name, action))

    async def by_link(self, name: str) -> httpx.Response:
        """The button of the page behind the link in the webhook."""
        [told] = [one for one in self.accounting.requests if name in str(one.json)]
        path = told.json["data"]["answer_at"].removeprefix(ADDRESS)
        return await self._post(path, data={"answer": "acknowledge"})

    async def by_approval(self, name: str) -> httpx.Response:
        message, _, proof = self.buttons[name]["decline"].partition(":")
        return await self._post(f"/approvals/{message}?token={proof}", data={"answer": "decline"})

    async def by_api(self, what: str, name: str, **more: str) -> httpx.Response:
        said = {"account": "field", "task": self.visits[name], **more}
        headers = {"authorization": f"Bearer {TOKEN}"}
        return await self._post(f"/api/v1/{what}", json=said, headers=headers)

    async def _post(self, path: str, **content: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.running.url, timeout=PATIENCE) as client:
            return await client.post(path, **content)

    def puts(self) -> Counter[str]:
        """How often each visit was written, by its name."""
        names = {number: name for name, number in self.visits.items()}
        paths = [one.path for one in self.sandbox.kickserv.record.writes]
        return Counter(names[path.rpartition("/")[2].removesuffix(".json")] for path in paths)


@asynccontextmanager
async def firm(folder: Path) -> AsyncIterator[Firm]:
    sandbox = Sandbox(SystemClock())
    sandbox.kickserv.make(name="known", employees=[ANN])
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(sandbox))
        inner = await stack.enter_async_context(HttpLine(int(url.rpartition(":")[2])))
        outer = await stack.enter_async_context(HttpLine(inner.port))
        slack = await stack.enter_async_context(SlackReceiver("office"))
        accounting = await stack.enter_async_context(HttpReceiver())
        socket = await stack.enter_async_context(SlackSocketServer.running(APP))
        configuration = CONFIGURATION.format(
            system=outer.url,
            slack=slack.url,
            accounting=accounting.url,
            socket=socket.url,
            signing=SIGNING,
            app=APP,
        )
        environ = {"TASKBELL_URL": ADDRESS, "TASKBELL_ADMIN_TOKEN": TOKEN}
        running = await stack.enter_async_context(taskbell(folder, configuration, environ=environ))
        stack.push_async_callback(asyncio.to_thread, running.stop)
        made = Firm(running, sandbox, slack, socket, accounting, (outer, inner), {}, {})
        await eventually(lambda: is_synced(running), PATIENCE)
        yield made


async def is_synced(running: Taskbell) -> bool:
    return bool(await running.query("SELECT FROM accounts WHERE baseline_at IS NOT NULL"))


async def number(running: Taskbell, statement: str) -> int:
    [row] = await running.query(statement)
    return int(row[0])


NAMES = {
    "open slack": ("slack", "acknowledge"),
    "open take": ("slack", "take"),
    "open done": ("slack", "done"),
    "open snooze": ("slack", "snooze_hour"),
    "asked yes": ("slack", "approve"),
    "open socket": ("socket", "acknowledge"),
}


def presses(one: Firm) -> list[Press]:
    """Each of them by the way in which it comes."""
    ways = {"slack": one.by_slack, "socket": one.by_socket}
    return [
        *(partial(ways[way], name, action) for name, (way, action) in NAMES.items()),
        partial(one.by_link, "open link"),
        partial(one.by_approval, "asked no"),
        partial(one.by_api, "acknowledgements", "open api"),
        partial(one.by_api, "completions", "open complete"),
        partial(one.by_api, "assignments", "open assign", assignee="Ann Lee"),
    ]


VISITS = [*NAMES, "open link", "asked no", "open api", "open complete", "open assign"]


async def press_all(one: Firm) -> None:
    """Press everything; each is answered."""
    await eventually(lambda: one.socket.connections, PATIENCE)
    before = len(one.socket.confirmed)
    await asyncio.gather(*(press() for press in presses(one)))
    await eventually(lambda: len(one.socket.confirmed) > before, PATIENCE)


async def kill_web(one: Firm, when: Callable[[], Awaitable[bool]]) -> None:
    """Press everything, and kill the web process when this is so; nobody hears an answer."""
    await eventually(lambda: one.socket.connections, PATIENCE)
    pressed = asyncio.gather(*(press() for press in presses(one)), return_exceptions=True)
    await eventually(when, PATIENCE)
    one.running.kill("web")
    ends = await pressed
    assert all(
        one is None or isinstance(one, httpx.Response | httpx.TransportError) for one in ends
    )


@pytest.mark.crash
@pytest.mark.timeout(200)
async def test_the_web_process_is_killed_before_a_press_is_stored(folder: Path) -> None:
    """None of it counts; pressed again, each has its effect once."""
    async with firm(folder) as one:
        await one.book(*VISITS)
        lock = await asyncpg.connect(one.running.postgres.url)
        async with lock.transaction():
            await lock.execute("LOCK TABLE changes IN EXCLUSIVE MODE")

            async def all_wait() -> bool:
                return await number(one.running, BLOCKED) >= CONNECTIONS

            await kill_web(one, all_wait)
        await eventually(partial(_is_idle, lock), PATIENCE)
        assert await number(one.running, COUNTED) == 0
        assert await number(one.running, "SELECT count(*) FROM acknowledgements") == 0
        await lock.close()
        one.running.start("web")
        await one.running.ready()
        await press_all(one)
        await demand_effects(one)


async def _is_idle(connection: asyncpg.Connection) -> bool:
    """Whether the transactions of the dead process have ended."""
    return not await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE state <> 'idle' AND query LIKE '%INTO changes%' AND pid <> pg_backend_pid()"
    )


@pytest.mark.crash
@pytest.mark.timeout(200)
async def test_the_web_process_is_killed_after_a_press_was_stored(folder: Path) -> None:
    """Nobody was answered, so everybody presses again: nothing happens twice."""
    async with firm(folder) as one:
        await one.book(*VISITS)

        async def all_stored() -> bool:
            return await number(one.running, COUNTED) == len(VISITS)

        await kill_web(one, all_stored)
        one.running.start("web")
        await one.running.ready()
        await press_all(one)
        await demand_effects(one)
        await press_all(one)
        await demand_effects(one)


async def demand_effects(one: Firm) -> None:
    """Everything that was pressed has had its effect, and nothing has had it twice."""
    await eventually(lambda: are_processed(one.running), PATIENCE)
    assert await number(one.running, COUNTED) == len(VISITS)
    rows = await one.running.query("SELECT task FROM events WHERE kind = 'acknowledged'")
    assert Counter(row["task"] for row in rows) == {
        one.visits[name]: 1
        for name in ("open slack", "open take", "open socket", "open link", "open api")
    }
    written = ("open take", "open done", "open complete", "open assign")
    assert one.puts() == dict.fromkeys(written, 1)
    again = await one.running.query(
        "SELECT task, state FROM deliveries WHERE starts_with(once_key, 'answer:snoozed:')"
    )
    assert [tuple(row) for row in again] == [(one.visits["open snooze"], "planned")]
    told = [request.json["data"]["text"] for request in one.accounting.requests]
    assert (told.count("asked yes"), told.count("asked no")) == (1, 0)


async def are_processed(running: Taskbell) -> bool:
    """Whether a worker has done everything that does not wait for its time."""
    return not await number(
        running,
        "SELECT (SELECT count(*) FROM acknowledgements) + (SELECT count(*) FROM lookups) + ("
        " SELECT count(*) FROM deliveries WHERE settled_at IS NULL"
        " AND NOT starts_with(once_key, 'answer:snoozed:'))",
    )


@pytest.mark.crash
@pytest.mark.timeout(200)
@pytest.mark.parametrize("where", [Cut.HELD_BEFORE, Cut.HELD], ids=["request", "answer"])
async def test_a_worker_is_killed_between_a_press_and_its_effect(where: Cut, folder: Path) -> None:
    """While it makes an event of one press, and writes two others to the system.

    The system is written once: the next worker looks first.
    """
    async with firm(folder) as one:
        await one.book("open slack", "open take", "open done")
        worker = psutil.Process(one.running.processes["worker"].pid)
        worker.suspend()
        await one.by_slack("open slack", "acknowledge")
        await one.by_slack("open take", "take")
        await one.by_slack("open done", "done")
        for line, name in zip(one.lines, ("open take", "open done"), strict=True):
            line.cut(where, f"PUT /kickserv/acme/tasks/{one.visits[name]}")
        lock = await asyncpg.connect(one.running.postgres.url)
        async with lock.transaction():
            await lock.execute("SELECT FROM tasks FOR UPDATE")
            worker.resume()
            await asyncio.wait_for(
                asyncio.gather(*(line.held.wait() for line in one.lines)), PATIENCE
            )
            await eventually(lambda: number(one.running, BLOCKED), PATIENCE)
            one.running.kill("worker")
        await lock.close()
        for line in one.lines:
            line.let_go.set()
        one.running.start("worker.2")
        await eventually(lambda: are_processed(one.running), PATIENCE)
        assert one.puts() == {"open take": 1, "open done": 1}
        rows = await one.running.query("SELECT task FROM events WHERE kind = 'acknowledged'")
        assert {row["task"] for row in rows} == {one.visits["open slack"], one.visits["open take"]}
        assert len(rows) == 2
