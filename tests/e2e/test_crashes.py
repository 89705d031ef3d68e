"""Whatever dies in the middle of the work: nothing acknowledged is lost, nothing is doubled.

Real processes under the real supervisor, servers with fsync, a sandboxed Kickserv that counts
what its customers were told, and a receiver that counts webhooks.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import orjson
import psutil
import pytest
from hypothesis import settings
from redis.asyncio import Redis

from service.clock import SystemClock
from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey
from service.processes.procfile import environment, procfile, read_procfile
from service.processes.supervisor import Supervisor
from service.reload import ConfigSnapshot
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from service.sandbox.kickserv import Kickserv
from tests.harness.launching import SpawningLauncher
from tests.harness.receivers import HttpReceiver
from tests.harness.running import free_port
from tests.harness.waiting import eventually

IS_SOAKING = settings.get_current_profile_name() == "soak"
EVENTS = 5000 if IS_SOAKING else 300
SENDERS = 16
# Seconds. A dead worker's leases take 20 of them; `make soak` runs several of these tests at once.
PATIENCE = 300.0 if IS_SOAKING else 75.0

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
    timezone: America/New_York
    per_minute: 100000
    webhook: {{ verify: none }}
channels:
  accounting: {{ kind: webhook, url: "{receiver}/hook" }}
storm: {{ messages: 1000000 }}
rules:
- id: tell-everybody
  when: task.created
  then:
    - notify: customer:details
    - notify: accounting
- id: tell-accounting
  when: task.completed
  then: [{{ notify: accounting }}]
"""


@dataclass(frozen=True)
class Installation:
    """A whole Taskbell under its supervisor, and those it talks to."""

    url: str
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    kickserv: Kickserv
    receiver: HttpReceiver

    async def query(self, statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def value(self, statement: str) -> object:
        return (await self.query(statement))[0][0]

    def process(self, module: str) -> psutil.Process:
        children = psutil.Process().children()
        return next(child for child in children if module in child.cmdline())


async def kill_web(installation: Installation) -> None:
    installation.process("service").kill()


async def kill_worker(installation: Installation) -> None:
    """One of the two."""
    installation.process("workers").kill()


async def kill_valkey(installation: Installation) -> None:
    installation.valkey.kill()


async def flush_valkey(installation: Installation) -> None:
    async with Redis.from_url(installation.valkey.url) as redis:
        await redis.flushall()


async def restart_postgres(installation: Installation) -> None:
    # At once, without a checkpoint: the supervisor starts it again, and it recovers.
    os.kill(installation.postgres.pid, signal.SIGQUIT)


Catastrophe = Callable[[Installation], Awaitable[None]]


@pytest.mark.crash
@pytest.mark.timeout(2 * PATIENCE + 50)
@pytest.mark.parametrize(
    "catastrophe", [kill_web, kill_worker, kill_valkey, flush_valkey, restart_postgres]
)
async def test_nothing_is_lost_and_nothing_is_doubled(
    catastrophe: Catastrophe, folder: Path
) -> None:
    """In the middle of the load something dies; in the end each task was announced once.

    Every third is done when it is first seen: its completion was announced once, too, and its
    customer does not hear of a visit that has been.
    """
    async with installation(folder) as running:
        await first_sync(running)
        bodies = [make_visit(running.kickserv, done=not number % 3) for number in range(EVENTS)]
        finished = len(range(0, EVENTS, 3))
        disaster = asyncio.create_task(halfway(running, EVENTS, catastrophe))
        await send_until_acknowledged(running.url, bodies)
        await disaster
        await everything_settled(running, EVENTS)

        events = await running.query("SELECT task, kind FROM events")
        assert Counter(kind for _, kind in events) == {
            "created": EVENTS,
            "completed": finished,
        }
        assert len({task for task, kind in events if kind == "created"}) == EVENTS
        assert len({task for task, kind in events if kind == "completed"}) == finished

        told = Counter(one.task_id for one in running.kickserv.record.notifications)
        assert set(told.values()) == {1}, "a customer was told twice"
        unknown = await running.value("SELECT count(*) FROM deliveries WHERE state = 'unknown'")
        assert isinstance(unknown, int)
        lost = EVENTS - finished - len(told)
        assert 0 <= lost <= unknown, "a customer's message is lost without a word"
        reason = "SELECT count(*) FROM deliveries WHERE reason = 'cancelled: the task is done'"
        assert await running.value(reason) == finished

        keys = {request.headers["webhook-id"] for request in running.receiver.requests}
        assert len(keys) == EVENTS + finished


def make_visit(kickserv: Kickserv, *, done: bool) -> bytes:
    """A visit of tomorrow, so that the clock has nothing to say about it; some are done already."""
    start = SystemClock().now() + timedelta(days=1)
    visit = kickserv.make(scheduled_at=start, ends_at=start + timedelta(hours=1))
    return orjson.dumps(kickserv.finish(str(visit["id"])) if done else visit)


async def halfway(running: Installation, count: int, catastrophe: Catastrophe) -> None:
    """Wait until the work is well under way, then strike."""
    told = running.kickserv.record
    await eventually(lambda: len(told.notifications) >= count // 10, PATIENCE)
    await catastrophe(running)


async def send_until_acknowledged(url: str, bodies: list[bytes]) -> None:
    """Post every body until it gets its 202, as a sender does; meanwhile the door may be shut."""
    waiting: Iterator[bytes] = iter(bodies)
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        await asyncio.gather(*(_send_from(waiting, client) for _ in range(SENDERS)))


async def _send_from(waiting: Iterator[bytes], client: httpx.AsyncClient) -> None:
    for body in waiting:
        while not await _is_acknowledged(client, body):
            await asyncio.sleep(0.05)


async def _is_acknowledged(client: httpx.AsyncClient, body: bytes) -> bool:
    headers = {"content-type": "application/json"}
    try:
        answer = await client.post("/hooks/field", content=body, headers=headers)
    except httpx.TransportError:
        return False
    assert answer.status_code in {202, 503}, answer.text
    return answer.status_code == httpx.codes.ACCEPTED


async def first_sync(running: Installation) -> None:
    await eventually(lambda: _is_synced(running), PATIENCE)


async def _is_synced(running: Installation) -> bool:
    rows = await running.query("SELECT to_regclass('accounts') IS NOT NULL AS there")
    if not rows[0]["there"]:
        return False
    return bool(await running.query("SELECT FROM accounts WHERE baseline_at IS NOT NULL"))


async def everything_settled(running: Installation, count: int) -> None:
    """Wait until every receipt is read, every task known and every delivery has come to an end."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while left := await still_open(running, count):
        assert asyncio.get_running_loop().time() < deadline, f"still open: {left}"
        await asyncio.sleep(0.2)


async def still_open(running: Installation, count: int) -> dict[str, int]:
    """What is not done yet, by what it is."""
    rows = await running.query(
        f"""
        SELECT 'receipt' AS what, count(*) FROM receipts WHERE state = 'pending'
        UNION ALL SELECT 'lookup: ' || coalesce(max(error), ''), count(*) FROM lookups
        UNION ALL SELECT 'task unknown', {count} - count(*) FROM tasks
        UNION ALL SELECT state || ': ' || coalesce(reason, ''), count(*) FROM deliveries
            WHERE settled_at IS NULL GROUP BY state, reason
        """
    )
    return {row["what"]: row["count"] for row in rows if row["count"]}


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[Installation]:
    sandbox = Sandbox(SystemClock())
    postgres = EmbeddedPostgres(folder / "postgres")
    with _stopped_after(postgres), EmbeddedValkey(folder / "valkey") as valkey:
        async with serving(sandbox) as address, HttpReceiver() as receiver:
            port = free_port()
            configuration = CONFIGURATION.format(sandbox=address, receiver=receiver.url)
            line = ConfigSnapshot(texts=(("taskbell.yaml", configuration),)).line()
            environ = environment(
                DATABASE_URL=postgres.url,
                REDIS_URL=valkey.url,
                PORT=str(port),
                LOG_LEVEL="ERROR",
            )
            programs = read_procfile(procfile(), worker=2)
            supervisor = Supervisor(programs, environ, SpawningLauncher(), [postgres, valkey])
            supervisor.tell(line, line)
            supervising = asyncio.create_task(supervisor.run())
            url = f"http://127.0.0.1:{port}"
            try:
                yield Installation(url, postgres, valkey, sandbox.kickserv, receiver)
            finally:
                supervisor.stop()
                await supervising


@contextmanager
def _stopped_after(postgres: EmbeddedPostgres) -> Iterator[None]:
    try:
        yield
    finally:
        postgres.stop()
