"""A day of work for hosts: webhooks that are acknowledged, and what has to come of each of them.

A sender posts until it is answered 202, as the systems do. What was acknowledged is told within ten
seconds of the end of a trouble, and nothing is told twice.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import asyncpg
import httpx
import orjson
import pytest

from service import store
from service.clock import SystemClock
from service.sandbox.kickserv import Kickserv
from tests.harness.receivers import Answer, HttpReceiver, Request
from tests.harness.waiting import eventually
from tests.real.hosts import Host
from tests.real.network import RANGE, Network
from tests.real.servers import USER, Nginx, PgBouncer, Postgres, Redis

AT_ONCE, BETWEEN = 8, 0.05  # senders, and the seconds that each waits between two webhooks
VISITS = 60  # around each trouble
IN_TIME = 10.0  # seconds
SECRET = "a-secret-that-nobody-guesses-7Q"
PATIENCE = 120.0

CONFIGURATION = """
version: 1
timezone: UTC
network: {{ allow: ["127.0.0.0/8", "{range}"] }}
accounts:
  field:
    system: kickserv
    base_url: "{sandbox}/kickserv"
    slug: acme
    token: sandbox
    poll: 1h
    per_minute: 100000
    webhook: {{ verify: token, secret: {secret} }}
channels:
  accounting: {{ kind: webhook, url: "{receiver}/hook" }}
storm: {{ messages: 1000000 }}
rules:
- id: new
  when: task.created
  then:
    - notify: customer:details
    - notify: accounting
- id: done
  when: task.completed
  then: [{{ notify: accounting }}]
"""


class Accounting(HttpReceiver):
    """Notes when it was told what, and by which key."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[tuple[str, str], list[tuple[float, str]]] = {}
        self.delay = 0.0  # seconds that an answer takes

    def answer(self, request: Request) -> Answer:
        about = (str(request.json["data"]["task"]["id"]), request.json["type"])
        said = (monotonic(), request.headers["webhook-id"])
        self.told.setdefault(about, []).append(said)
        return Answer(delay=self.delay)


@dataclass
class Day:
    """What there is, and what was acknowledged when: a task's id and what is to be told of it."""

    primary: Postgres
    standby: Postgres | None
    redis: Redis
    nginx: Nginx
    hosts: list[Host]
    kickserv: Kickserv
    accounting: Accounting
    pooler: PgBouncer | None = None
    network: Network | None = None
    acknowledged: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def left(self) -> set[tuple[str, str]]:
        """What was acknowledged and not told yet."""
        return self.acknowledged.keys() - self.accounting.told.keys()

    async def work(self) -> None:
        """New visits are pushed whole; every other is then done, of which a webhook only hints."""
        numbers = iter(range(VISITS))
        async with httpx.AsyncClient(base_url=self.nginx.url, timeout=10) as client:
            await asyncio.gather(*(self._send(client, numbers) for _ in range(AT_ONCE)))

    async def _send(self, client: httpx.AsyncClient, numbers: Iterator[int]) -> None:
        for number in numbers:
            start = SystemClock().now() + timedelta(days=1)
            visit = self.kickserv.make(scheduled_at=start, ends_at=start + timedelta(hours=1))
            task_id = str(visit["id"])
            await self._acknowledge(client, orjson.dumps(visit), (task_id, "task.created"))
            if number % 2:
                continue  # its customer is to be told: it is not done meanwhile
            self.kickserv.finish(task_id)
            hint = orjson.dumps({"id": visit["id"]})
            await self._acknowledge(client, hint, (task_id, "task.completed"))

    async def _acknowledge(
        self, client: httpx.AsyncClient, body: bytes, about: tuple[str, str]
    ) -> None:
        while not await _is_taken(client, body):
            await asyncio.sleep(BETWEEN)
        self.acknowledged[about] = monotonic()
        await asyncio.sleep(BETWEEN)


async def _is_taken(client: httpx.AsyncClient, body: bytes) -> bool:
    headers = {"content-type": "application/json", "x-webhook-token": SECRET}
    try:
        answer = await client.post("/hooks/field", content=body, headers=headers)
    except httpx.TransportError:
        return False
    assert answer.status_code in {202, 502, 503, 504}, answer.text
    return answer.status_code == httpx.codes.ACCEPTED


Trouble: TypeAlias = Callable[[Day], Awaitable[None]]


async def live(day: Day, troubles: tuple[Trouble, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """One trouble after the other, each in the middle of work; all is told in time."""
    late = {trouble.__name__: await through(day, trouble) for trouble in troubles}
    with capsys.disabled():
        print()
        for name, seconds in late.items():
            print(f"  {name:36} told within {max(seconds, 0):4.1f} s")
    assert max(late.values()) <= IN_TIME


async def through(day: Day, trouble: Trouble) -> float:
    """How many seconds after the trouble, or its 202, the last webhook of that time was told."""
    before = set(day.acknowledged)
    work = asyncio.create_task(day.work())
    await asyncio.sleep(1)
    await trouble(day)
    ended_at = monotonic()
    await work
    await eventually(lambda: not day.left, PATIENCE)
    for host in day.hosts:
        await eventually(host.is_ready, PATIENCE)
    return max(
        day.accounting.told[about][0][0] - max(acknowledged_at, ended_at)
        for about, acknowledged_at in day.acknowledged.items()
        if about not in before
    )


async def nothing_is_doubled(day: Day, postgres: Postgres) -> None:
    """Accounting got one message about each, whatever was tried again; customers one or none."""
    assert {len({key for _, key in told}) for told in day.accounting.told.values()} == {1}
    await eventually(lambda: is_settled(postgres), PATIENCE)
    told = Counter(one.task_id for one in day.kickserv.record.notifications)
    assert set(told.values()) <= {1}
    rows = await ask(
        postgres, "SELECT state, count(*) FROM deliveries WHERE channel = 'customer' GROUP BY state"
    )
    states = {row["state"]: row["count"] for row in rows}
    assert states.keys() <= {"sent", "unknown", "cancelled"}
    assert states["sent"] <= len(told) <= states["sent"] + states.get("unknown", 0)


def configuration(place: Path, system: str, receiver: str) -> None:
    """Write the configuration with these addresses."""
    text = CONFIGURATION.format(sandbox=system, receiver=receiver, secret=SECRET, range=RANGE)
    (place / "taskbell.yaml").write_text(text)


def environment(place: Path, redis: Redis, *servers: Postgres) -> dict[str, str]:
    """Where a host finds everything: of several servers it takes the one that takes writes."""
    both = ",".join(f"{one.address}:{one.port}" for one in servers)
    return {
        "DATABASE_URL": f"postgresql://{USER}@{both}/taskbell?target_session_attrs=read-write",
        "REDIS_URL": redis.url,
        "TASKBELL_CONFIG": str(place / "taskbell.yaml"),
        "TASKBELL_ADMIN_TOKEN": "a-token-that-nobody-guesses",
        "LOG_FORMAT": "json",
    }


async def with_standby(primary: Postgres, standby: Postgres) -> Postgres:
    """A standby without which nothing is committed, as soon as there is something to copy."""
    admin = await asyncpg.connect(primary.url)
    await admin.execute("CREATE DATABASE taskbell")
    await store.bring_up_to_date(primary.url.replace("/postgres", "/taskbell"))
    standby.copy(primary)
    await asyncio.to_thread(standby.start)
    # Not before: it would be copied, and a primary that has no standby would wait for one.
    await admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()
    return standby


async def is_synced(primary: Postgres) -> bool:
    return bool(await ask(primary, "SELECT FROM accounts WHERE baseline_at IS NOT NULL"))


async def is_settled(primary: Postgres) -> bool:
    """Whether nothing is to be sent any more; what was held for a trouble is looked at again."""
    return not await ask(primary, "SELECT FROM deliveries WHERE settled_at IS NULL")


async def ask(postgres: Postgres, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(postgres.url.replace("/postgres", "/taskbell"))
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()
