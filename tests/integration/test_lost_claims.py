"""PostgreSQL dies in the middle of sending: what it knows of it afterwards."""

import os
import signal
from datetime import timedelta
from pathlib import Path

from service import store
from service.clock import VirtualClock
from service.domain.model import State
from service.errors import SendError
from service.outbox import attempts
from service.outbox.claims import Attempt, AttemptResult
from service.processes.embedded import EmbeddedPostgres
from service.store import Pool
from tests.harness.corridor import begun, corridor
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


async def test_two_results_of_one_attempt_are_stored_as_one(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The database died, and had not written a claim: the same attempt is made again meanwhile."""
    rules = "- { id: tell, when: task.created, then: [{ notify: accounting }] }"
    async with begun(folder, pool, clock, rules) as taskbell:
        await taskbell.webhook(taskbell.visit())
        [lost] = await taskbell.claim("accounting")
        await pool.execute("UPDATE deliveries SET state = 'planned', attempts = 0")
        await pool.execute("UPDATE deliveries SET next_attempt_at = $1", clock.now())
        [again] = await taskbell.claim("accounting")
        tried = Attempt(clock.now(), timedelta(seconds=1))
        failed = Attempt(clock.now(), timedelta(seconds=1), SendError("no answer"))
        await attempts.settle(
            pool,
            [
                AttemptResult(lost, State.SENT, attempt=tried),
                AttemptResult(again, State.PLANNED, "no answer", attempt=failed),
            ],
            clock.now(),
        )
        assert await taskbell.states() == ["sent"]
        assert await pool.fetchval("SELECT outcome FROM attempts") == "sent"
