"""That a worker looks after its accounts, and what is to be done where nobody did."""

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
    """Says for these accounts that somebody is there, at the start and several times a minute."""

    def __init__(self, pool: Pool, clock: Clock, accounts: Mapping[str, Account]) -> None:
        self._pool = pool
        self._clock = clock
        self._patience = {name: _patience(account) for name, account in accounts.items()}

    async def note(self) -> None:
        """Say so; where an outage ends by that, everything is to be read anew."""
        outage = await outages.note_presence(self._pool, self._patience, self._clock.now())
        if outage is not None:
            log.warning(
                "taskbell.was_away",
                since=outage.began_at.isoformat(),
                until=outage.ended_at.isoformat(),
                accounts=outage.accounts,
            )


def _patience(account: Account) -> timedelta:
    """How long an account may be alone until its picture counts as outdated.

    Where polls alone tell of changes, the picture is as old as that at any time.
    """
    if account.webhook is not None:
        return SHORTEST_OUTAGE
    return max(SHORTEST_OUTAGE, account.poll)
