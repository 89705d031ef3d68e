"""The attempts of a delivery: each is written down with its result, and shown to people."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.clock import VirtualClock
from service.domain.model import Kind, State
from service.maintenance import prune
from service.outbox import attempts
from service.outbox.claims import Attempt, AttemptResult
from service.sandbox.faults import Fault, FaultKind
from service.settings import read_settings
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.history import plan, record
from tests.harness.receivers import Answer
from tests.harness.site import Site
from tests.harness.tasks import task

RULES = """
- { id: tell, when: task.created, accounts: [field], then: [{ notify: customer:details }] }
- { id: book, when: task.created, accounts: [london], then: [{ notify: accounting }] }
"""
HOSTILE = "<script>x</script>\u202e" + "\"'&" * 3000


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that tells customers of Kickserv's visits, and accounting of Plannr's tasks."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def made(pool: Pool) -> list[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM attempts ORDER BY delivery, number")


async def test_each_attempt_is_recorded_with_its_answer(taskbell: Corridor) -> None:
    """Failed, delayed by the receiver, without an answer, and sent: when, what and why."""
    replies = Answer(500), Answer(429, headers={"Retry-After": "7"}), Answer(delay=30), Answer(200)
    taskbell.accounting.reply(*replies)
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    began = []
    for _ in replies:
        began.append(taskbell.clock.now())
        await taskbell.deliver()
        taskbell.clock.advance(timedelta(hours=1))
    assert await taskbell.states() == ["sent"]
    rows = await made(taskbell.pool)
    assert [row["number"] for row in rows] == [1, 2, 3, 4]
    assert [row["began_at"] for row in rows] == began
    assert [(row["outcome"], row["status"]) for row in rows] == [
        ("failed", 500),
        ("failed", 429),
        ("no_answer", None),
        ("sent", None),
    ]
    errors = [row["error"] for row in rows]
    assert errors[0] == "127.0.0.1 answered 500"
    assert "did not answer within 3 s" in errors[2]
    assert errors[3] is None


async def test_a_refusal_is_for_good(taskbell: Corridor) -> None:
    """The receiver wants no more: one attempt, refused."""
    taskbell.accounting.reply(Answer(410))
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    await taskbell.deliver()
    [row] = await made(taskbell.pool)
    assert (row["outcome"], row["status"]) == ("refused", 410)


async def test_a_system_s_answer_has_its_status(taskbell: Corridor) -> None:
    """A customer message that the system failed to confirm: it may have arrived."""
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.UNAVAILABLE, method="POST"))
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    [row] = await made(taskbell.pool)
    assert (row["outcome"], row["status"]) == ("unknown", 503)


async def test_what_ends_in_the_check_before_is_no_attempt(taskbell: Corridor) -> None:
    """The system could not be asked about the task: nothing was sent, and nothing is listed."""
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.UNAVAILABLE, method="GET"))
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    assert await taskbell.states() == ["held"]
    assert await made(taskbell.pool) == []


async def test_the_time_that_it_took_is_measured(pool: Pool, taskbell: Corridor) -> None:
    """In milliseconds."""
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    [claim] = await taskbell.claim("accounting")
    now = taskbell.clock.now()
    attempt = Attempt(now, timedelta(seconds=2, microseconds=345_678))
    await attempts.settle(pool, [AttemptResult(claim, State.SENT, attempt=attempt)], now)
    [row] = await made(pool)
    assert row["took_ms"] == 2345


async def test_the_attempt_of_a_worker_that_died_is_recorded(taskbell: Corridor) -> None:
    """As unknown, until its late answer comes; then that is what is recorded."""
    await taskbell.webhook(taskbell.visit())
    [claim] = await taskbell.claim("account:field")
    began_at = taskbell.clock.now()
    await taskbell.lose_workers(minutes=5)
    [row] = await made(taskbell.pool)
    assert (row["outcome"], row["took_ms"]) == ("unknown", None)
    assert row["began_at"] == began_at
    assert row["error"] == "Taskbell was stopped while it sent this"
    late = AttemptResult(claim, State.SENT, attempt=Attempt(began_at, timedelta(minutes=5)))
    for _ in range(2):
        await attempts.settle(taskbell.pool, [late], taskbell.clock.now())
        [row] = await made(taskbell.pool)
        assert (row["outcome"], row["took_ms"], row["error"]) == ("sent", 300_000, None)


async def test_a_result_that_does_not_count_is_not_recorded(taskbell: Corridor) -> None:
    """Another attempt was made since: what the first one learnt in the end is dropped."""
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    [lost] = await taskbell.claim("accounting")
    await taskbell.lose_workers(minutes=5)
    await taskbell.deliver()
    before = await made(taskbell.pool)
    assert [row["outcome"] for row in before] == ["unknown", "sent"]
    late = AttemptResult(lost, State.SENT, attempt=Attempt(taskbell.clock.now(), timedelta(0)))
    await attempts.settle(taskbell.pool, [late], taskbell.clock.now())
    assert await made(taskbell.pool) == before


LATE = """
- { id: later, when: task.created, accounts: [london],
    then: [{ wait: 1h }, { notify: accounting }] }
"""


@pytest.mark.parametrize("change", ["finish", "delete", "rename"])
async def test_what_was_overtaken_while_it_was_tried_is_not_tried_again(
    taskbell: Corridor, change: str
) -> None:
    """The task is done or gone, and then the attempt fails: what waits is cancelled by that."""
    await taskbell.restart(LATE)
    plannr = taskbell.sandbox.plannr
    call = plannr.make(name="Call")
    await taskbell.webhook(call, "london")
    await taskbell.tick(hours=1)
    [claim] = await taskbell.claim("accounting")
    if change == "rename":
        plannr.change(call["uuid"], name="Call again")
    else:
        (plannr.finish if change == "finish" else plannr.delete)(call["uuid"])
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.poll("london", full=True)
    await taskbell.look_up("london")
    failed = AttemptResult(claim, State.PLANNED, "busy", again_at=taskbell.clock.now())
    await attempts.settle(taskbell.pool, [failed], taskbell.clock.now())
    await taskbell.deliver()
    [row] = await taskbell.deliveries("later")
    expected = {
        "finish": ("cancelled", "cancelled: the task was completed"),
        "delete": ("cancelled", "cancelled: the task was deleted"),
        "rename": ("sent", None),
    }
    assert (row["state"], row["reason"]) == expected[change]


async def tried(pool: Pool, delivery: int, **changed: Any) -> None:
    """The delivery was tried and refused."""
    row = {"number": 1, "outcome": "refused", "status": 404, "error": "Slack refused", **changed}
    await pool.execute(
        "INSERT INTO attempts (delivery, number, began_at, took_ms, outcome, status, error)"
        " SELECT id, $2, created_at, 2345, $3, $4, $5 FROM deliveries WHERE id = $1",
        delivery,
        *row.values(),
    )


async def test_attempts_are_deleted_with_their_delivery(pool: Pool, clock: VirtualClock) -> None:
    """Those of the one that is old enough; those of another stay."""
    settings = read_settings({})
    for at in (clock.now() - settings.taskbell_keep_deliveries - timedelta(days=1), clock.now()):
        number = await plan(pool, await record(pool, task(), Kind.COMPLETED, at=at), State.FAILED)
        await pool.execute("UPDATE deliveries SET settled_at = created_at WHERE id = $1", number)
        await tried(pool, number)
    await prune.prune(pool, settings, clock.now())
    assert [row["delivery"] for row in await made(pool)] == [number]
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == 1


async def test_the_message_screen_shows_them(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """When, how long, what came of it, the status and the error, as text."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event, State.FAILED)
    assert "<h2>Attempts</h2>" not in (await web.client.get(f"/messages/{number}")).text
    await tried(pool, number, error=HOSTILE)
    await tried(pool, number, number=3, outcome="no_answer", status=None, error=None)
    page = (await web.client.get(f"/messages/{number}")).text
    table = page.partition("<h2>Attempts</h2>")[2].partition("</table>")[0]
    assert table.count("<tr>") == 3
    assert "<td>2.3 s</td><td>refused</td><td>404</td>" in table
    assert "<td>no answer; may have arrived</td><td></td>" in table
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in table


async def test_the_api_lists_them(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """The last one first, in pages; 404 for a delivery that is not there."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event, State.FAILED)
    path = f"/api/v1/deliveries/{number}/attempts"
    assert (await web.client.get(path)).json() == {"data": [], "next": None}
    for one in (1, 2, 4):
        await tried(pool, number, number=one)
    other = await plan(pool, await record(pool, task("T2"), Kind.COMPLETED, at=clock.now()))
    await tried(pool, other, number=9)
    first = (await web.client.get(path, params={"limit": 2})).json()
    assert [one["number"] for one in first["data"]] == [4, 2]
    assert first["data"][0] == {
        "number": 4,
        "began_at": clock.now().isoformat().replace("+00:00", "Z"),
        "took_ms": 2345,
        "outcome": "refused",
        "status": 404,
        "error": "Slack refused",
    }
    rest = (await web.client.get(path, params={"cursor": first["next"]})).json()
    assert ([one["number"] for one in rest["data"]], rest["next"]) == ([1], None)
    assert (await web.client.get("/api/v1/deliveries/99/attempts")).status_code == 404
    assert (await web.client.get(path, params={"delivery": other})).status_code == 400
