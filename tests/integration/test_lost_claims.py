"""PostgreSQL dies in the middle of sending: what it knows of it afterwards."""

import os
import signal
from pathlib import Path

from service import store
from service.clock import VirtualClock
from service.processes.embedded import EmbeddedPostgres
from tests.harness.corridor import corridor
from tests.harness.waiting import eventually

RULES = '- { id: tell, when: task.created, then: [{ notify: "slack:#office", text: New }] }'


async def test_a_post_is_looked_for_after_the_database_died(
    clock: VirtualClock, folder: Path
) -> None:
    """Killed as soon as Slack has it: the attempt is on disk, and the next one finds the post."""
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        await store.bring_up_to_date(postgres.url)
        await one_post(postgres, clock, folder)
    finally:
        postgres.stop()


async def one_post(postgres: EmbeddedPostgres, clock: VirtualClock, folder: Path) -> None:
    async with (
        await store.connect(postgres.url) as pool,
        corridor(folder, pool, clock, RULES) as taskbell,
    ):
        await pool.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        await pool.execute("SELECT pg_reload_conf()")
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit())
        assert await taskbell.worker.lanes["slack"].batch()
        await eventually(lambda: taskbell.posts)
        os.kill(postgres.pid, signal.SIGQUIT)  # at once: nothing more is written
        await eventually(lambda: not postgres.is_running())
        postgres.revive()
        await taskbell.lose_workers(minutes=5)
        await taskbell.restart(RULES)
        await taskbell.deliver()
        assert await taskbell.states() == ["sent"]
        assert len(taskbell.slack.posted) == 1
