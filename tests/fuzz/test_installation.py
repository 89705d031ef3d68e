"""A whole Taskbell among hostile senders, callers and systems: afterwards it works as before.

Real web and worker processes. Webhooks of every system are bad, and so are the requests to the API
and to the page, and whatever a system answers. No answer is an error of Taskbell's own, nothing
hangs, what was stored stops nothing, and the processes stay as large as they are.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from urllib.parse import quote, urlencode

import asyncpg
import orjson
import psutil
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.clock import SystemClock
from service.http.client import open_client
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from service.sources import Source, systems
from service.web.api.openapi import describe
from tests.bench.wire import Connection, connect
from tests.contract import source_rig
from tests.fuzz.mutations import ODD, Mutations
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver, Request
from tests.harness.running import Taskbell, taskbell
from tests.harness.waiting import eventually

PATIENCE = 5.0  # seconds in which everybody gets an answer
CONNECTIONS = 32
CHUNK = 2_000  # webhooks, after which the worker may catch up
CATCHING_UP = 120.0  # seconds
MOST_GROWTH = 24  # MB, in the second half of the inputs: what a process keeps ready is full by then
TASKS = 60  # of each system
SERVER_ERROR = 500

CONFIGURATION = """
version: 1
timezone: Europe/London
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
{accounts}
channels:
  slack: {{ kind: slack, token: sandbox, api_url: "{sandbox}/slack/api/" }}
  accounting: {{ kind: webhook, url: "{receiver}/hook" }}
storm: {{ messages: 1000000 }}
rules:
- id: new
  when: task.created
  then: [{{ notify: accounting, text: "{{{{ task.title }}}} {{{{ task.due | local }}}}" }}]
- id: done
  when: task.completed
  if: task.title.size() > 2 && !("x" in task.tags)
  then: [{{ notify: accounting, text: "{{{{ task.assignee.name | upcase }}}}" }}]
- id: late
  when: task.overdue
  then: [{{ notify: accounting, text: "{{{{ task.customer.name | default: 'somebody' }}}}" }}]
- id: ahead
  when: {{ before: task.due, by: 1 day }}
  then: [{{ notify: accounting, text: "{{% for tag in task.tags %}}{{{{ tag }}}}{{% endfor %}}" }}]
- id: moved
  when: task.rescheduled
  then: [{{ wait: 1 minute }}, {{ notify: accounting, text: "{{{{ before.due | local }}}}" }}]
"""


class Spoiled:
    """The emulated systems, of whose answers every other has faults, until they are `calm`."""

    def __init__(self, app: ASGIApp, mutations: Mutations, sources: dict[str, Source]) -> None:
        self.calm = False
        self.answers = 0
        self._app = app
        self._mutations = mutations
        self._sources = sources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        source = self._sources.get(scope.get("path", "").split("/")[1])
        if self.calm or source is None or self._mutations.rng.random() < 1 / 2:
            await self._app(scope, receive, send)
            return
        said: list[Message] = []
        await self._app(scope, receive, _kept_in(said))
        body = self._spoil(source, b"".join(one.get("body", b"") for one in said[1:]))
        headers = [(name, text) for name, text in said[0]["headers"] if name != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({**said[0], "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _spoil(self, source: Source, body: bytes) -> bytes:
        """An answer of which rows are bad, or the whole."""
        self.answers += 1
        if not body.startswith((b"[", b"{")) or self._mutations.rng.random() < 1 / 4:
            return self._mutations.bytes(body)
        answer = orjson.loads(body)
        rows = source.items(answer)
        if rows is None:
            return self._mutations.body(answer)
        for row in rows:
            if self._mutations.rng.random() < 1 / 2:
                self.answers += 1
                bad = self._mutations.value(row)
                row.clear()
                row.update(bad if isinstance(bad, dict) else {"id": bad})
        return orjson.dumps(answer)


def _kept_in(said: list[Message]) -> Send:
    async def keep(message: Message) -> None:
        said.append(message)

    return keep


class Accounting(HttpReceiver):
    """Remembers what it was told, and not how."""

    def __init__(self) -> None:
        super().__init__()
        self.told = Counter[str]()

    def answer(self, request: Request) -> Answer:
        self.told[request.json["data"]["text"]] += 1
        self.requests.clear()
        return Answer()


@dataclass
class Scene:
    """A Taskbell and all who mean it ill."""

    taskbell: Taskbell
    sandbox: Sandbox
    spoiled: Spoiled
    accounting: Accounting
    sources: dict[str, Source]
    mutations: Mutations
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[int, bytes]] = field(default_factory=list)

    async def send(self, make: Callable[[], bytes], count: int) -> None:
        """Send that many requests over a few connections; each is answered in time."""

        async def work(share: int) -> None:
            connection = await connect(self.taskbell.port)
            for _ in range(share):
                connection = await self._exchange(connection, make())
            connection.close()

        await asyncio.gather(*(work(count // CONNECTIONS) for _ in range(CONNECTIONS)))

    async def _exchange(self, connection: Connection, request: bytes) -> Connection:
        """Send one; gives the connection for the next, which may have to be another."""
        try:
            async with asyncio.timeout(PATIENCE):
                status = await connection.send(request)
        except ConnectionError:  # what cannot be HTTP is answered by hanging up
            return await connect(self.taskbell.port)
        self.statuses[status] += 1
        if status >= SERVER_ERROR:
            self.failures.append((status, request))
        return connection

    def webhook(self) -> bytes:
        """A bad one, of any system: a task, an event, a list, a hint or a signal."""
        rng = self.mutations.rng
        name = rng.choice(sorted(self.sources))
        system = self.sandbox.systems[name]
        task = system.whole(rng.choice(list(system.tasks)))
        good = rng.choice(
            (
                task,
                {"event": rng.choice(("task.updated", "task.completed")), "data": task},
                [task, task],
                {"event": "task.deleted", "data": {"id": task.get("id", 7)}},
                {"signal": "leaving", "task": 1},
            )
        )
        return _request("POST", f"/hooks/{name}", self.mutations.body(good))

    def call(self) -> bytes:
        """A bad request to the API, or to the page."""
        rng = self.mutations.rng
        path, methods = rng.choice(PATHS)
        while "{" in path:
            head, _, rest = path.partition("{")
            path = head + quote(str(self._odd())[:200], safe="") + rest.partition("}")[2]
        names = ("limit", "cursor", "account", "state", "task", "since", "arrived", "reason", "q")
        query = {rng.choice(names): self._odd() for _ in range(rng.randrange(4))}
        target = f"{path}?{urlencode(query, errors='replace')}"[:8000]
        return _request(rng.choice((*methods, "POST")), target, self.mutations.body(query))

    def _odd(self) -> object:
        return self.mutations.rng.choice((1, 2, 30, *ODD))

    def sizes(self) -> dict[str, int]:
        """The memory of each process, in MB."""
        processes = self.taskbell.processes.items()
        return {name: psutil.Process(one.pid).memory_info().rss >> 20 for name, one in processes}

    def warned(self) -> str:
        """What the processes logged last that was no success."""
        lines = self.taskbell.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([line for line in lines if "[warning" in line or "[error" in line][-20:])

    async def open_receipts(self) -> int:
        [row] = await self.taskbell.query("SELECT count(*) FROM receipts WHERE state = 'pending'")
        return int(row["count"])


PATHS = [
    *((path, tuple(verb.upper() for verb in verbs)) for path, verbs in describe()["paths"].items()),
    ("/", ("GET",)),
    ("/sign-in", ("POST",)),
    ("/readyz", ("GET",)),
    ("/metrics", ("GET",)),
    ("/hooks/{account}", ("POST",)),
]


def _request(method: str, target: str, body: bytes) -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode(errors="replace") + b"\r\n\r\n" + body


@pytest.mark.crash
async def test_an_installation(seed: int, inputs: int, folder: Path) -> None:
    """After all of it, every account is read, and a new task of each is told within seconds."""
    async with scene(folder, Mutations(seed)) as one:
        await one.send(one.webhook, CHUNK // 4)
        await caught_up(one)
        sizes = [one.sizes()]
        for _ in range(max(1, inputs * 3 // 10 // CHUNK)):
            await one.send(one.webhook, min(CHUNK, inputs * 3 // 10))
            await one.send(one.call, min(CHUNK, inputs) // 4)
            await caught_up(one)
            sizes.append(one.sizes())
        assert one.failures == [], one.warned()
        assert {200, 202, 400, 404} & one.statuses.keys(), one.statuses
        one.spoiled.calm = True
        await everything_is_read(one)
        await a_new_task_of_each_is_told(one)
        await whatever_was_set_aside_says_why(one)
        assert "Traceback" not in one.taskbell.log.read_text()
        grown = growth(sizes)
        assert max(grown.values()) < MOST_GROWTH, sizes
        print(f"{one.statuses} {one.spoiled.answers} answers of systems, grown by {grown} MB")


def growth(sizes: list[dict[str, int]]) -> dict[str, int]:
    """By how much each process grew in the second half, in MB."""
    middle = sizes[(len(sizes) - 1) // 2]
    return {name: size - middle[name] for name, size in sizes[-1].items()}


async def caught_up(one: Scene) -> None:
    await eventually(lambda: _none(one.open_receipts()), CATCHING_UP)


async def _none(count: Awaitable[int]) -> bool:
    return not await count


async def everything_is_read(one: Scene) -> None:
    """Each account is read as a whole once more, and without a fault."""
    [row] = await one.taskbell.query("SELECT now() AS now")

    async def unread() -> list[asyncpg.Record]:
        await one.taskbell.query("UPDATE accounts SET next_poll_at = now() WHERE failures > 0")
        return await one.taskbell.query(
            """
            SELECT name, failures, error, scanned_at, scan_read, scan_total FROM accounts
            WHERE scanned_at < $1 OR scanned_at IS NULL OR failures > 0
            """,
            row["now"],
        )

    until = monotonic() + CATCHING_UP
    while (left := await unread()) and monotonic() < until:
        await asyncio.sleep(1)
    assert left == []


async def a_new_task_of_each_is_told(one: Scene) -> None:
    titles = {name: f"A good task of {name}" for name in one.sources}
    for name, title in titles.items():
        system = one.sandbox.systems[name]
        task_id = one.sources[name].identify(system.make(**{system.title: title})) or ""
        body = orjson.dumps({"event": "task.created", "data": system.whole(task_id)})
        await one.send(partial(_request, "POST", f"/hooks/{name}", body), CONNECTIONS)
    told = one.accounting.told
    await eventually(lambda: all(any(t in text for text in told) for t in titles.values()), 10)


async def whatever_was_set_aside_says_why(one: Scene) -> None:
    rows = await one.taskbell.query(
        "SELECT id FROM receipts WHERE state = 'poison' AND coalesce(reason, '') = ''"
    )
    assert rows == []


@asynccontextmanager
async def scene(folder: Path, mutations: Mutations) -> AsyncIterator[Scene]:
    """All four systems with some tasks, of which nobody has read yet."""
    clock, sandbox = SystemClock(), Sandbox(SystemClock())
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(LOOPBACK))
        sources = {
            name: source_rig.connect(name, clock, client, "http://127.0.0.1:9", name=name)
            for name in systems()
        }
        spoiled = Spoiled(sandbox.app, mutations, sources)
        sandbox.app = spoiled  # type: ignore[assignment]
        address = await stack.enter_async_context(serving(sandbox))
        accounting = await stack.enter_async_context(Accounting())
        for system in sandbox.systems.values():
            for number in range(TASKS):
                system.make(**{system.title: f"Task {number}", system.when: clock.now()})
        configuration = CONFIGURATION.format(
            accounts="\n".join(f"  {name}: {_account(name, address)}" for name in systems()),
            sandbox=address,
            receiver=accounting.url,
        )
        running = await stack.enter_async_context(taskbell(folder, configuration))
        yield Scene(running, sandbox, spoiled, accounting, sources, mutations)


def _account(system: str, url: str) -> str:
    sample = source_rig.sample(system, "account")
    given = {name: value for name, value in sample.items() if name not in {"name", "per_page"}}
    there = {"system": system, "base_url": f"{url}/{system}", "timeout": "1s"}
    pace = {"poll": "1s", "full_scan": "2s", "per_minute": 100000, "stretch": 2}
    return orjson.dumps({**given, **there, **pace, "webhook": {"verify": "none"}}).decode()
