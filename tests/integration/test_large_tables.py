"""What a person or a script asks for is found by an index, however much there is."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service import store
from service.clock import SystemClock, VirtualClock
from service.processes.embedded import EmbeddedValkey
from service.settings import read_settings
from service.store import Pool
from tests.bench import growth
from tests.harness.corridor import begun
from tests.harness.site import Site, serving
from workers.wiring import open_worker

TASKS = 400
GROWING = ("attempts", "changes", "decisions", "deliveries", "events", "receipts", "tasks")
CONNECTIONS = 4
# No message of these is unknown, and of such a task nothing is to be explained.
NOTHING_THERE = {
    "/messages/bulk/dismiss?state=unknown",
    "/api/v1/explain?account=london&task=no such task",
}


@pytest.fixture
def frugal_url(database_url: str) -> str:
    """The address of a database that reads a whole table only where nothing else is possible."""
    return f"{database_url}{'&' if '?' in database_url else '?'}enable_seqscan=off"


@pytest.fixture
async def frugal(frugal_url: str) -> AsyncIterator[Pool]:
    async with await store.connect(frugal_url, size=CONNECTIONS) as pool:
        yield pool


@pytest.fixture
async def web(tmp_path: Path, frugal: Pool, valkey: EmbeddedValkey) -> AsyncIterator[Site]:
    config, clock = growth.configured(tmp_path), SystemClock()
    async with serving(config, frugal, clock, valkey.url) as running:
        await growth.fill(frugal, TASKS, clock.now())
        yield running


async def whole_reads(pool: Pool) -> dict[str, int]:
    """How often each table that grows has been read from its beginning to its end."""
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = await stack.enter_async_context(pool.acquire())
            await connection.execute("SELECT pg_stat_force_next_flush()")
    rows = await pool.fetch(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY ($1)", GROWING
    )
    return {row["relname"]: row["seq_scan"] for row in rows}


def apart(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """The tables that have been read in between, and how often."""
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


async def test_no_address_reads_a_whole_table(web: Site, frugal: Pool) -> None:
    """Neither a screen nor a list of the API, with and without matches."""
    before, found = await whole_reads(frugal), set()
    for path in (*growth.paths(), "/coming.ics"):
        asked = path.format(n=7, c=1, d=36, o=7)
        answer = await web.client.get(asked, headers={"accept": "text/html"})
        assert answer.is_success or path in NOTHING_THERE, f"{path}: {answer.text}"
        after = await whole_reads(frugal)
        found |= {(path, name) for name in apart(before, after)}
        before = after
    assert found == set()


RULES = """
- { id: told, when: task.created, then: [{ notify: accounting }, { notify: "customer:details" }] }
- { id: asked, when: task.created, then: [{ notify: accounting, approve: "slack:#office" }] }
- { id: soon, when: { task.starting_soon: 30m }, then: [{ notify: "customer:on_the_way" }] }
- { id: late, when: task.overdue, for: 10m, then: [{ notify: "slack:#office", text: late }] }
- { id: done, when: task.completed, settle: 1m, once_per: task.customer.id, limit: 20/d,
    then: [{ notify: "slack:#office", text: done, on_undo: retract }] }
- { id: tried, when: task.created, enabled: shadow, limit: 20/d,
    then: [{ notify: "slack:#office", text: tried }] }
- { id: nagged, when: task.created, then: [{ notify: "slack:#office", text: new, buttons: [done] }],
    escalate: [{ notify: "slack:#dispatch", after: 15m, text: still }] }
- { id: daily, when: { schedule: "0 8 * * *" }, for_each: "tasks.filter(t, !t.done)",
    group: { by: task.account }, then: [{ notify: "slack:#office", text: "{{ group.size }}" }] }
- { id: moved, when: task.rescheduled, muted_by: { rule: late, same: [task.customer.id] },
    then: [{ notify: "mail:{{ task.customer.email }}", subject: moved, text: moved }] }
- { id: invoiced, when: task.completed, then: [{ create_task: { title: Invoice } }] }
contacts: { at_most: { per_day: 3 }, same_customer_by: [email] }
"""


async def test_no_step_of_an_event_reads_a_whole_table(
    folder: Path, frugal: Pool, clock: VirtualClock
) -> None:
    """From the webhook to the message; the clock, and a poll."""
    async with begun(folder, frugal, clock, RULES) as taskbell:
        await growth.fill(frugal, TASKS, clock.now())
        before = await whole_reads(frugal)
        visit = taskbell.visit(name="Leak")
        await taskbell.webhook(visit)
        await taskbell.deliver()
        for _ in range(4):
            await taskbell.tick(minutes=10)
            await taskbell.deliver()
        later = clock.now() + timedelta(days=2)
        taskbell.sandbox.kickserv.change(str(visit["id"]), scheduled_at=later)
        clock.advance(timedelta(minutes=5))
        await taskbell.poll()
        await taskbell.deliver()
        taskbell.sandbox.kickserv.finish(str(visit["id"]))
        clock.advance(timedelta(minutes=5))
        await taskbell.poll(full=True)
        await taskbell.look_up()
        await taskbell.tick(minutes=10)
        await taskbell.deliver()
        assert apart(before, await whole_reads(frugal)) == {}


async def test_nothing_that_a_worker_does_every_minute_reads_a_whole_table(
    folder: Path, frugal: Pool, frugal_url: str, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Beside the work itself: what it looks for, sweeps up, publishes and deletes."""
    async with begun(folder, frugal, clock, RULES) as taskbell:
        await growth.fill(frugal, TASKS, clock.now())
        settings = read_settings({"DATABASE_URL": frugal_url, "REDIS_URL": valkey.url})
        before = await whole_reads(frugal)
        # A start reads the tasks, in case that a wrong clock has noted times to come.
        async with open_worker(settings, taskbell.config, clock):
            pass
        start = apart(before, await whole_reads(frugal))
        before = await whole_reads(frugal)
        async with open_worker(settings, taskbell.config, clock) as worker:
            for step in (worker.tick, worker.sweep, worker.publish, worker.send_alerts):
                await step()
            await worker.renew()
            await worker.prune()
            await worker.is_outdated()
        assert apart(before, await whole_reads(frugal)) == start


async def test_no_decision_of_a_person_reads_a_whole_table(web: Site, frugal: Pool) -> None:
    """Whatever is pressed on the page or asked for by a script."""
    numbers = {"sent": 20, "failed": 21, "unknown": 31, "planned": 41, "held": 51}
    for state, number in numbers.items():
        await frugal.execute("UPDATE deliveries SET state = $1 WHERE id = $2", state, number)
    task = {"account": "london", "task": "T7"}
    soon = (SystemClock().now() + timedelta(hours=1)).isoformat()
    decisions: list[tuple[str, dict[str, Any]]] = [
        (f"deliveries/{numbers['sent']}/snooze", {"until": soon}),
        (f"deliveries/{numbers['failed']}/retry", {}),
        (f"deliveries/{numbers['unknown']}/resolve", {"arrived": True}),
        (f"deliveries/{numbers['planned']}/cancel", {"reason": "too late"}),
        (f"deliveries/{numbers['held']}/send-now", {}),
        ("silences", {"rule": "rule-1", "ends_at": soon, "reason": "too loud"}),
        ("silences", {"person": "#office-7", "ends_at": soon, "reason": "too loud"}),
        ("silences", {"customer": "Customer 1", "ends_at": soon, "reason": "too loud"}),
        ("silences", {"customer": "C1", "ends_at": soon, "reason": "too loud"}),
        ("silences", {"person": "ann.lee@firm.test", "ends_at": soon, "reason": "too loud"}),
        ("silences/1/expire", {}),
        ("holds", {"ends_at": soon, "reason": "snow"}),
        ("holds/1/release", {}),
        ("acknowledgements", task),
        ("assignments", task | {"assignee": "Person 1"}),
        ("completions", task),
        ("contacts/opt-out", {"address": "c1@x.test"}),
        ("contacts/opt-in", {"address": "c1@x.test"}),
        ("rules/rule-1/trial", {}),
        ("rules/rule-1/off", {}),
        ("rules/rule-1/follow", {}),
        ("accounts/london/pause", {}),
        ("accounts/london/resume", {}),
        ("accounts/london/sync", {}),
    ]
    before, found = await whole_reads(frugal), set()
    for path, said in decisions:
        answer = await web.client.post(f"/api/v1/{path}", json=said)
        assert answer.is_success or path == "assignments", answer.text  # nobody is known there
        after = await whole_reads(frugal)
        found |= {(path, name) for name in apart(before, after)}
        before = after
    assert found == set()
