"""What comes round by itself, rung or not: it needs the database and nothing else.

Redis may be away for as long as it likes: polls, the clock and whatever nobody heard of go on,
at worst a second late.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from service.store import DATABASE_GONE
from workers.worker import Shift

log = structlog.get_logger()


async def go_round(shift: Shift) -> None:
    """Go round for ever; ends by being cancelled."""
    async with asyncio.TaskGroup() as rounds:
        rounds.create_task(_every(1, shift.tick))
        rounds.create_task(_every(1, shift.sweep))
        rounds.create_task(_every(5, shift.publish))
        rounds.create_task(_every(5, shift.tell_operator))
        rounds.create_task(_every(15, shift.stay_in_force))
        rounds.create_task(_every(60, shift.prune))


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except DATABASE_GONE as error:
            log.warning("worker.waits_for_the_database", error=str(error))
        except Exception:  # the edge of the worker: whatever it was, the next round goes on
            log.exception("round.failed", round=work.__name__)
        await asyncio.sleep(seconds)
