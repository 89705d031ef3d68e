"""Laws 1 to 3, and what cannot be read: acknowledged is kept, and worked off as a whole or not."""

import asyncio
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from structlog.testing import capture_logs

from service import store
from service.clock import VirtualClock
from service.doorbell import Doorbell
from service.processes.embedded import EmbeddedValkey
from service.settings import read_settings
from service.store import Pool, receipt_queue
from service.store.receipts import body_key
from tests.harness.corridor import Corridor, corridor
from tests.harness.running import free_port
from tests.harness.site import site
from tests.harness.waiting import eventually
from workers.wiring import open_worker

RULES = """
- id: made
  when: task.created
  then: [{ notify: accounting }]
"""

NO_ROOM = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION refuse();
"""


async def test_law_1_no_answer_before_the_commit(
    pool: Pool, clock: VirtualClock, folder: Path, valkey: EmbeddedValkey
) -> None:
    """As long as the receipt cannot be committed its sender waits; then it gets its 202."""
    async with site(folder, pool, clock, valkey.url) as web, pool.acquire() as other:
        async with other.transaction():
            await other.execute("LOCK TABLE receipts IN EXCLUSIVE MODE")
            posting = asyncio.create_task(web.post("open", b'{"id": "T1"}'))
            done, _ = await asyncio.wait([posting], timeout=0.3)
            assert not done, "answered although nothing was committed"
        answer = await posting
        assert answer.status_code == 202
        assert await pool.fetchval("SELECT id FROM receipts") == answer.json()["receipt"]


@pytest.mark.parametrize("table", ["deliveries", "decisions", "events"])
async def test_law_2_an_observation_is_one_transaction(
    table: str, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """If one part of it cannot be written, none is, and the receipt waits for the next attempt."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        await taskbell.receive(taskbell.visit())
        await pool.execute(NO_ROOM.format(table=table))
        with pytest.raises(asyncpg.DiskFullError):
            await taskbell.ingest()
        assert await counts(pool) == {"tasks": 0, "events": 0, "decisions": 0, "deliveries": 0}
        assert await pool.fetchval("SELECT state FROM receipts") == "pending"

        await pool.execute(f"DROP TRIGGER refuse ON {table}")
        await taskbell.ingest()
        assert await counts(pool) == {"tasks": 1, "events": 1, "decisions": 1, "deliveries": 1}
        assert await pool.fetchval("SELECT state FROM receipts") == "done"


@pytest.mark.parametrize("road", ["poll", "look_up", "clock"])
async def test_law_2_holds_for_every_input(
    road: str, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A poll, a look by id and the clock leave nothing half done either."""
    rules = RULES + "- { id: late, when: task.overdue, then: [{ notify: accounting }] }\n"
    async with corridor(folder, pool, clock, rules) as taskbell:
        known = taskbell.visit()
        await taskbell.begin()
        await pool.execute(NO_ROOM.format(table="deliveries"))
        if road == "poll":
            taskbell.visit()
            going = taskbell.poll()
        elif road == "look_up":
            await taskbell.webhook({"id": taskbell.visit()["id"]})
            going = taskbell.look_up()
        else:
            going = taskbell.tick(days=2)
        with pytest.raises(asyncpg.DiskFullError):
            await going
        assert await counts(pool) == {"tasks": 1, "events": 0, "decisions": 0, "deliveries": 0}

        await pool.execute("DROP TRIGGER refuse ON deliveries")
        clock.advance(timedelta(minutes=5))
        await taskbell.poll()
        await taskbell.look_up()
        await taskbell.tick()
        assert len(await taskbell.deliveries()) == 1
        del known


async def counts(pool: Pool) -> dict[str, int]:
    tables = ("tasks", "events", "decisions", "deliveries")
    return {table: await pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


async def test_law_3_a_doorbell_without_redis_raises_nothing() -> None:
    """Where nothing listens, ringing neither fails nor blocks."""
    doorbell = Doorbell(f"redis://127.0.0.1:{free_port()}")
    doorbell.ring("ingest", "field")
    assert await doorbell.trouble() is not None
    doorbell.ring("ingest", "field")
    await doorbell.close()


async def test_law_3_the_sweep_finds_work_without_a_wake_up(
    pool: Pool, clock: VirtualClock, folder: Path, database_url: str
) -> None:
    """Without any doorbell a receipt is read, its event decided on, and its message sent."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        settings = read_settings({"DATABASE_URL": database_url})
        async with open_worker(settings, taskbell.config, clock) as running:
            await asyncio.sleep(0.2)  # each loop has looked once, and found nothing
            await taskbell.receive(taskbell.visit())
            await running.sweep()
            await eventually(taskbell.is_everything_sent)
        assert len(taskbell.accounting.requests) == 1


POISON: list[Any] = [
    b'{"id": "' + b"x" * 10_000 + b'", "name": "long"}',
    b'{"id": "' + "é\u202e".encode() + b'"}',
    b'{"id": "T\\u0000"}',
    b"[" * 900 + b"]" * 900,
    b'{"id": 123456789012345678901234567890}',
    b'{"id": true}',
    b"[1, 2]",
    b'"task"',
    b"{}",
]


async def test_poison_is_set_aside_with_a_reason(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """What no task can be read from says why; the healthy before and after it go through."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        for body in POISON:
            await taskbell.receive(taskbell.visit())
            await taskbell.receive(body)
        await taskbell.receive(taskbell.visit())
        with capture_logs() as logs:
            await taskbell.ingest()
        assert {"ingest.singly"}.isdisjoint(line["event"] for line in logs)
        assert await taskbell.events() == ["created by webhook"] * (len(POISON) + 1)
        rows = await pool.fetch("SELECT state, reason FROM receipts WHERE state <> 'done'")
        assert [row["state"] for row in rows] == ["poison"] * len(POISON)
        assert all(len(row["reason"]) > 20 for row in rows)


def incompressible() -> str:
    """A mail address longer than any index takes."""
    return f"{secrets.token_hex(6000)}@x.test"


def odd(taskbell: Corridor) -> list[dict[str, Any]]:
    """Tasks that are odd but can be read."""
    return [
        taskbell.visit(name="NUL \0 inside", description="\0"),
        taskbell.visit(name="x" * 200_000),
        taskbell.visit(employees=[{"id": 1, "employee_number": 1, "email": incompressible()}]),
        taskbell.visit(scheduled_at="9999-12-31T23:59:58Z", ends_at="9999-12-31T23:59:59Z"),
        taskbell.visit(scheduled_at="0001-01-01T00:00:00Z", ends_at="0001-01-01T00:00:01Z"),
    ]


async def test_odd_tasks_block_nothing(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Dates at the ends of the calendar, endless texts and targets: taken, by every road."""
    rules = """
    - { id: late, when: { task.overdue: 2h }, then: [{ notify: accounting }] }
    - { id: soon, when: { task.starting_soon: 2h }, then: [{ notify: accounting }] }
    - { id: before, when: { before: task.start, by: 1 day, at: "16:00" },
        then: [{ notify: accounting }] }
    - id: mail
      when: task.created
      once_per: [task.title]
      then: [{ notify: "slack:@{{ task.assignee.email }}", text: "{{ task.title }}" }]
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        for one in odd(taskbell):
            await taskbell.receive(one)
        healthy = taskbell.visit()
        await taskbell.receive(healthy)
        await taskbell.ingest()
        await taskbell.tick(minutes=1)
        assert await taskbell.snapshot(healthy["id"])
        states = {row["state"] for row in await pool.fetch("SELECT state FROM receipts")}
        assert states == {"done"}

        more = odd(taskbell)
        await taskbell.webhook([{"id": one["id"]} for one in more])
        await taskbell.look_up()
        await taskbell.poll(full=True)
        await taskbell.tick(minutes=1)
        assert await pool.fetchval("SELECT error FROM accounts WHERE name = 'field'") is None
        for one in more:
            assert await taskbell.snapshot(one["id"])


async def test_receipts_of_a_removed_account_are_set_aside(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """What came in for an account that is gone says so once the roll-out is over; others go on."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        await taskbell.receive(taskbell.visit())
        await taskbell.receive(taskbell.sandbox.plannr.make(), "london")
        await taskbell.restart(RULES, without="field")
        await taskbell.ingest()
        assert await pool.fetchval("SELECT count(*) FROM receipts WHERE state = 'pending'") == 1
        await taskbell.tick(hours=2)
        await taskbell.restart(RULES, without="field")
        rows = await pool.fetch("SELECT account, state, reason FROM receipts ORDER BY id")
        assert [(row["account"], row["state"]) for row in rows] == [
            ("field", "poison"),
            ("london", "done"),
        ]
        assert "field is no longer in the configuration" in rows[0]["reason"]
        assert await taskbell.events() == ["created by webhook"]


async def test_law_15_a_flood_for_one_account_delays_no_other(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """However much waits for one account, and however long it takes, another's is read."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        flood = [taskbell.receive({"id": f"F{n}", "noise": n}) for n in range(1000)]
        await asyncio.gather(*flood)
        await taskbell.receive(taskbell.sandbox.plannr.make(), "london")
        async with pool.acquire() as busy, busy.transaction():
            await receipt_queue.claim(busy, "field", 200, 1_000_000)
            await taskbell.worker.ingests["london"].batch()
        assert await taskbell.events() == ["created by webhook"]


async def test_two_workers_read_an_account_one_after_the_other(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """While one worker has an account's receipts in hand the other waits, and begins after it."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        await taskbell.receive({"id": "1"})
        async with pool.acquire() as connection:
            first = connection.transaction()
            await first.start()
            taken = await receipt_queue.claim(connection, "field", 200, 1_000_000)
            other = asyncio.create_task(taskbell.worker.ingests["field"].batch())
            await asyncio.sleep(0.05)
            await taskbell.receive({"id": "2"})
            assert not other.done()
            await receipt_queue.settle(connection, taken, clock.now())
            await first.commit()
        assert (await other).count == 1


async def test_a_worker_that_vanished_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, database_url: str, clock: VirtualClock, folder: Path
) -> None:
    """Its host is gone in the middle of a batch: the database takes back what it had locked."""
    limit = "idle_in_transaction_session_timeout"
    monkeypatch.setitem(store.pool._LIMITS, limit, "200ms")
    async with (
        await store.connect(database_url) as pool,
        corridor(folder, pool, clock, RULES) as taskbell,
    ):
        await taskbell.begin()
        await taskbell.receive({"id": "1"})
        vanished = await pool.acquire()
        await vanished.execute("BEGIN")
        await receipt_queue.claim(vanished, "field", 200, 1_000_000)
        async with asyncio.timeout(5):
            assert (await taskbell.worker.ingests["field"].batch()).count == 1
        await pool.release(vanished)


async def test_what_is_sent_again_while_it_is_read_is_answered(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The door and the worker meet at the same receipts, in whatever order their keys stand."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        bodies = sorted((b'{"id": "%d"}' % number for number in range(3)), key=body_key)[::-1]
        first, between, last = [await taskbell.receive(body) for body in bodies]
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT FROM receipts WHERE id = $1 FOR UPDATE", between)
            reading = asyncio.create_task(taskbell.worker.ingests["field"].batch())
            await asyncio.sleep(0.1)
            coming = [asyncio.create_task(taskbell.receive(body)) for body in bodies]
            await asyncio.sleep(0.1)
        assert await asyncio.gather(*coming) == [first, between, last]
        assert (await reading).count == 3


async def test_a_batch_ends_where_its_bytes_are_enough(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Large receipts are taken few at a time, and never fewer than one."""
    async with corridor(folder, pool, clock, RULES) as taskbell, pool.acquire() as connection:
        for number in range(5):
            await taskbell.receive({"id": str(number), "noise": "x" * 1000})
        async with connection.transaction():
            assert len(await receipt_queue.claim(connection, "field", 200, 2500)) == 3
            assert len(await receipt_queue.claim(connection, "field", 200, 1)) == 1


async def test_half_a_character_loses_no_webhook(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A script has cut a title in the middle of an emoji: the task is read all the same."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        visit = taskbell.visit(name="Thanks HALF")
        await taskbell.webhook(orjson.dumps(visit).replace(b"HALF", rb"\ud83d"))
        assert (await taskbell.snapshot(visit["id"]) or {})["title"] == "Thanks \ufffd"
