"""Worker heartbeat per account, and recovery after an outage."""

from collections.abc import Mapping
from datetime import timedelta

import structlog

from service.clock import Clock
from service.sources.account import Account
from service.store import Pool, outages

log = structlog.get_logger()

# A restart and a roll-out take seconds: they are no outage, and delay nothing.
SHORTEST_OUTAGE = timedelta(minutes=2)


class Heartbeat:
    """Records that a worker handles these accounts, at the start and several times a minute."""

    def __init__(self, pool: Pool, clock: Clock, accounts: Mapping[str, Account]) -> None:
        self._pool = pool
        self._clock = clock
        self._patience = {name: _patience(account) for name, account in accounts.items()}

    async def note(self) -> None:
        """Record it; if this ends an outage, request full scans."""
        outage = await outages.note_presence(self._pool, self._patience, self._clock.now())
        if outage is not None:
            log.warning(
                "taskbell.was_away",
                since=outage.began_at.isoformat(),
                until=outage.ended_at.isoformat(),
                accounts=outage.accounts,
            )


def _patience(account: Account) -> timedelta:
    """How long an account may be without a worker until its data counts as outdated.

    If only polls report changes, the data is always as old as the poll interval.
    """
    if account.webhook is not None:
        return SHORTEST_OUTAGE
    return max(SHORTEST_OUTAGE, account.poll)
