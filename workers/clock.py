"""The clock's round: alarms that have come, rules whose tasks have been quiet."""

from service.engine import Engine
from service.outbox import Lanes
from service.store import Pool

BATCH = 500


class ClockRound:
    """Announces what time alone has brought about."""

    def __init__(self, pool: Pool, engine: Engine) -> None:
        self._pool = pool
        self._engine = engine

    async def batch(self) -> tuple[int, Lanes]:
        """One batch of alarms and one of quiet tasks; returns how many there were."""
        async with self._pool.acquire() as connection:
            async with connection.transaction():
                rung, ringing = await self._engine.ring(connection, BATCH)
            async with connection.transaction():
                quiet, settled = await self._engine.settle(connection, BATCH)
        return rung + quiet, ringing | settled
