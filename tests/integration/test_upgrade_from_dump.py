"""An upgrade in the middle of everything: what an older Taskbell had begun goes on.

tests/upgrades/ has dumps, each named after the last migration of its schema. They were made by
`begin_everything`, and by pg_dump --inserts --no-owner of the database.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from service import store
from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, begun, corridor

DUMPS = sorted((Path(__file__).parents[1] / "upgrades").glob("*.sql"))
RULES = """
- { id: renamed, when: { task.changed: [title] }, settle: 10m,
    then: [{ notify: slack:#office, text: "renamed {{ task.title }}" }] }
- { id: open, when: task.created, if: "!task.done", for: 10m,
    then: [{ notify: slack:#office, text: "open {{ task.title }}" }] }
- { id: done, when: task.completed, group: { by: "'all'", wait: 30m },
    then: [{ notify: slack:#office, text: "done {{ group.tasks | map: 'title' | join: ', ' }}" }] }
- { id: late, when: task.overdue,
    then: [{ notify: slack:#office, text: "late {{ task.title }}" }] }
- { id: new, when: task.created, hours: office,
    then: [{ notify: slack:#office, text: "new {{ task.title }}" }] }
- { id: daily, when: { schedule: "30 8 * * *" }, for_each: "tasks.filter(t, !t.done)",
    then: [{ notify: slack:#office, text: "today {{ task.title }}" }] }
"""


async def begin_everything(taskbell: Corridor) -> None:
    """At 7:01: rules wait, gather, hold and have set alarms; limits and lookups are under way."""
    end = taskbell.clock.now() + timedelta(hours=2)
    gutter = taskbell.visit(name="Gutter", scheduled_at=end - timedelta(hours=1), ends_at=end)
    tap = taskbell.visit(name="Tap")
    await taskbell.webhook(gutter)
    await taskbell.webhook(tap)
    await taskbell.tick(minutes=1)
    kickserv = taskbell.sandbox.kickserv
    await taskbell.webhook(kickserv.change(str(gutter["id"]), name="Gutters"))
    await taskbell.webhook(kickserv.finish(str(tap["id"])))
    await taskbell.webhook({"id": "99"})
    await taskbell.tick(minutes=1)


async def end_everything(taskbell: Corridor) -> None:
    """What was begun comes to its end in the next hours, each once."""
    for _ in range(12):
        await taskbell.tick(minutes=15)
        await taskbell.deliver()
    assert sorted(taskbell.posts) == [
        "done Tap",
        "late Gutters",
        "new Gutter",
        "open Gutters",
        "renamed Gutters",
        "today Gutters",
    ]


async def test_without_an_upgrade(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """What is expected of the upgrades is what happens without one."""
    async with begun(folder, pool, clock, RULES) as taskbell:
        await begin_everything(taskbell)
        await end_everything(taskbell)


@pytest.fixture(params=DUMPS, ids=lambda dump: dump.stem)
async def upgraded(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Pool]:
    """A database that was restored from a dump and then migrated."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE")
    await connection.execute(request.param.read_text())
    await connection.close()
    async with await store.connect(database_url) as pool:
        assert await store.migrate(pool)
        yield pool


async def test_what_was_begun_goes_on(upgraded: Pool, clock: VirtualClock, folder: Path) -> None:
    """Waits, digests, alarms, schedules and messages that are held outlive the upgrade."""
    clock.advance(timedelta(minutes=3))
    async with corridor(folder, upgraded, clock, RULES) as taskbell:
        await end_everything(taskbell)


async def test_workers_of_the_version_before_go_on(pool: Pool) -> None:
    """Until they are replaced they read and write by the names that tables had for them."""
    await pool.execute(
        """
        INSERT INTO accounts (name, system, added_at, next_poll_at)
        VALUES ('field', 'kickserv', now(), now());
        INSERT INTO throttles AS old (account, next_call_at) VALUES ('field', now())
        ON CONFLICT (account) DO UPDATE SET next_call_at = old.next_call_at;
        INSERT INTO watches (id, zone, alarms) VALUES ('w', 'UTC', '[]') ON CONFLICT DO NOTHING;
        UPDATE throttles SET failures = failures + 1 WHERE account = 'field';
        """
    )
    assert await pool.fetchval("SELECT failures FROM rate_limits") == 1
    assert await pool.fetchval("SELECT EXISTS (SELECT FROM alarm_sets WHERE id = 'w')")
