"""Keeps the clock of a process equal to the database's, even if its host's clock is wrong.

Leases, versions and due times of several hosts are compared with each other. With hosts whose
clocks differ by more than a lease, one would take over what another is just sending.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

import structlog

from service.clock import Clock, SharedClock
from service.store import DATABASE_ERRORS, Pool

log = structlog.get_logger()

# Less is not corrected: on one host, and with clocks that are set by NTP, nothing changes.
NEGLIGIBLE = timedelta(milliseconds=100)
_BETWEEN_LOOKS = 15.0  # seconds


async def ahead_of(pool: Pool, clock: Clock) -> timedelta | None:
    """By how much a clock is ahead of the database's; zero if the difference is negligible.

    None if the database took too long to answer to know.
    """
    async with pool.acquire() as connection:
        asked = clock.now()
        theirs = await connection.fetchval("SELECT clock_timestamp()")
        took = clock.now() - asked
    found: timedelta = asked + took / 2 - theirs
    if abs(found) > max(NEGLIGIBLE, took):
        return found
    return None if took > NEGLIGIBLE else timedelta()


async def correct(pool: Pool, clock: Clock) -> None:
    """Set a shared clock to the database's; a clock that is set by hand stays as it is."""
    if not isinstance(clock, SharedClock):
        return
    found = await ahead_of(pool, clock.of_host)
    if found is None:
        return
    if abs(found - clock.ahead) > NEGLIGIBLE:
        log.warning("clock.differs_from_the_database", ahead=found.total_seconds())
    clock.ahead = found


async def follow(pool: Pool, clock: Clock) -> None:
    """Correct the clock several times a minute; ends by being cancelled."""
    while True:
        await asyncio.sleep(_BETWEEN_LOOKS)
        with suppress(*DATABASE_ERRORS):  # it stays as it was
            await correct(pool, clock)
