"""The clock's round: alarms that have come, rules whose tasks have been quiet, digests, schedules.

Before that, what is to be set anew because the rules or a time zone have changed. Each task knows
who has set its alarm, so that this can be broken off anywhere and goes on anywhere, beside all
other work and beside workers that still have the configuration of before.
"""

from service.engine import Engine
from service.engine.postgres import PostgresTransaction
from service.outbox import Lanes
from service.store import Pool

BATCH = 500  # tasks; for alarms, of each account


class ClockRound:
    """Announces what time alone has brought about."""

    def __init__(self, pool: Pool, engine: Engine) -> None:
        self._pool = pool
        self._engine = engine

    async def batch(self) -> tuple[int, Lanes]:
        """One batch of each; returns how many tasks there were."""
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
        """Say that these alarms and schedules are still wanted."""
        await self._engine.renew(self._pool)
