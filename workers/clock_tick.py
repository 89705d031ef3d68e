"""Timer tick: fires due alarms, `settle` and `for` waits, digests and schedules.

Before that, it recomputes the alarms of tasks if the rules or a time zone have changed. Each task
has the id of its alarm set, so this can be interrupted at any point and continued by any worker,
beside all other work and beside workers that still have the previous configuration.
"""

from service.engine import Engine
from service.engine.postgres import PostgresTransaction
from service.outbox import Lanes
from service.store import Pool

BATCH = 500  # tasks; for alarms, of each account


class ClockRound:
    """Processes time-based events."""

    def __init__(self, pool: Pool, engine: Engine) -> None:
        self._pool = pool
        self._engine = engine

    async def batch(self) -> tuple[int, Lanes]:
        """Process one batch of each kind; returns the number of tasks."""
        async with self._pool.acquire() as connection:
            async with connection.transaction():
                anew, owing = await self._engine.recompute_alarms(
                    PostgresTransaction(connection), BATCH
                )
            async with connection.transaction():
                announced_until, ringing = await self._engine.fire_alarms(
                    PostgresTransaction(connection), BATCH
                )
            async with connection.transaction():
                quiet, settled = await self._engine.finish_waits(
                    PostgresTransaction(connection), BATCH
                )
                over, closed = await self._engine.close_digests(
                    PostgresTransaction(connection), BATCH
                )
            async with connection.transaction():
                fired, scheduled = await self._engine.fire_schedule(PostgresTransaction(connection))
        count = anew + announced_until + quiet + over + fired
        return count, self._engine.after_commit(owing | ringing | settled | closed | scheduled)

    async def renew(self) -> None:
        """Renew the alarm sets and schedules of this configuration (heartbeat)."""
        await self._engine.renew(self._pool)
