"""From the version before to this one, under load: nothing is lost, doubled or refused."""

import asyncio
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from itertools import cycle
from pathlib import Path

import httpx
import orjson
import pytest

from service.clock import SystemClock
from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from tests.harness.receivers import HttpReceiver
from tests.harness.running import PATIENCE, ROOT, Taskbell, free_port
from tests.harness.waiting import eventually

# The version before: whoever makes a release puts its commit here (CONTRIBUTING.md). It is not one
# before 4868269: of a deadlock with a migration, in which PostgreSQL ends the one or the other, the
# worker of those left for three minutes what it was reading.
BEFORE = "8335380"

CONFIGURATION = """
version: 1
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
  field:
    system: kickserv
    base_url: "{sandbox}/kickserv"
    slug: acme
    token: sandbox
    poll: 60s
    per_minute: 100000
    webhook: {{ verify: none }}
channels:
  accounting: {{ kind: webhook, url: "{receiver}/hook" }}
storm: {{ messages: 1000000 }}
rules:
- id: tell
  when: task.created
  then: [{{ notify: accounting, text: "{{{{ task.id }}}}" }}]
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the version before, out of this repository's history."""
    git = shutil.which("git")
    archive = [git or "git", "-C", str(ROOT), "archive", BEFORE]
    if git is None or (got := subprocess.run(archive, capture_output=True, check=False)).returncode:
        pytest.skip(f"the commit {BEFORE} is not here: it takes a clone with history")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(got.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder


@asynccontextmanager
async def load(webs: list[Taskbell], sandbox: Sandbox, accepted: list[str]) -> AsyncIterator[None]:
    """Webhooks about new tasks, to each web process in turn, until this ends."""
    ending = asyncio.Event()

    async def send() -> None:
        async with httpx.AsyncClient() as client:
            for number in cycle(range(1000)):
                if ending.is_set():
                    return
                task = str(sandbox.kickserv.make()["id"])
                web = webs[number % len(webs)]
                answer = await client.post(f"{web.url}/hooks/field", json={"id": task})
                assert answer.status_code == 202, answer.text
                accepted.append(task)
                await asyncio.sleep(0.01)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        ending.set()
        await sending


async def grows(accepted: list[str], by: int) -> None:
    wanted = len(accepted) + by
    await eventually(lambda: len(accepted) >= wanted, PATIENCE)


async def migrate(one: Taskbell) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "migrate"), cwd=one.code, env=one.environ
    )
    assert await process.wait() == 0


@pytest.fixture
def servers(folder: Path) -> Iterator[tuple[EmbeddedPostgres, EmbeddedValkey]]:
    postgres = EmbeddedPostgres(folder / "postgres")
    with EmbeddedValkey(folder / "valkey") as valkey:
        yield postgres, valkey
    postgres.stop()


def installation(
    folder: Path, servers: tuple[EmbeddedPostgres, EmbeddedValkey], code: Path
) -> Taskbell:
    """One version's processes, on the servers that both versions share."""
    postgres, valkey = servers
    port = free_port()
    settings = {
        "DATABASE_URL": postgres.url,
        "REDIS_URL": valkey.url,
        "TASKBELL_CONFIG": str(folder / "taskbell.yaml"),
        "PORT": str(port),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "WARNING",
    }
    return Taskbell(folder, postgres, valkey, port, {**os.environ, **settings}, code)


async def test_old_and_new_work_side_by_side(
    folder: Path, before: Path, servers: tuple[EmbeddedPostgres, EmbeddedValkey]
) -> None:
    """It is migrated while the old one works; then both do; then the new one alone."""
    sandbox, accepted = Sandbox(SystemClock()), list[str]()
    old = installation(folder, servers, before)
    new = installation(folder, servers, ROOT)
    async with HttpReceiver() as receiver, serving(sandbox) as url:
        text = CONFIGURATION.format(sandbox=url, receiver=receiver.url)
        (folder / "taskbell.yaml").write_text(text)
        try:
            await migrate(old)
            for name in ("web", "worker"):
                old.start(name)
            await old.ready()
            await eventually(lambda: is_read(old), PATIENCE)
            webs = [old]
            async with load(webs, sandbox, accepted):
                await grows(accepted, 20)
                await migrate(new)
                await grows(accepted, 20)
                for name in ("web", "worker"):
                    new.start(name)
                await new.ready()
                webs.append(new)
                await grows(accepted, 60)
                webs.remove(old)
                await grows(accepted, 5)
                await asyncio.to_thread(old.stop)
                await grows(accepted, 20)
            await eventually(lambda: told(receiver).keys() >= set(accepted), PATIENCE)
        finally:
            old.stop()
            new.stop()
        assert told(receiver) == Counter(accepted)
    assert defects(folder) == []


async def is_read(running: Taskbell) -> bool:
    return bool(await running.query("SELECT FROM accounts WHERE baseline_at IS NOT NULL"))


def told(receiver: HttpReceiver) -> Counter[str]:
    """How often each task was told of."""
    return Counter(request.json["data"]["text"] for request in receiver.requests)


def defects(folder: Path) -> list[str]:
    """What either version did not know what to make of.

    A worker that is stopped in the middle of a call to Redis leaves that open; redis-py says so.
    """
    lines = [orjson.loads(line) for line in (folder / "log").read_bytes().splitlines()]
    said = [line["event"] for line in lines if line["level"] == "error"]
    return [event for event in said if not event.startswith("Unclosed Pipeline client")]
