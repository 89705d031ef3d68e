"""What a simulation only reads: accounts as they are, no lookups and no announcements.

There is no system to read from, and every change is visible at once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from service.domain.model import Cause
from service.store.accounts import AccountState
from service.store.announcements import Announcement
from service.store.tasks import Key


class MemoryLookups:
    """`LookupRepository` in memory; every observation is right, and nothing is read again."""

    async def ask(self, keys: Sequence[Key], cause: Cause, now: datetime) -> None:
        del keys, cause, now

    async def ask_again(self, older: Mapping[Key, datetime], now: datetime) -> None:
        del older, now


class MemoryAccounts:
    """`AccountRepository` in memory; `states` are the accounts."""

    def __init__(self, states: Mapping[str, AccountState]) -> None:
        self._states = states

    async def read(self, names: Collection[str]) -> Mapping[str, AccountState]:
        return {name: self._states[name] for name in names if name in self._states}

    async def stale(self, names: Collection[str], now: datetime) -> frozenset[str]:
        """Return none: in a simulation no account is outdated."""
        del names, now
        return frozenset()

    async def outdated(self, names: Collection[str], now: datetime) -> frozenset[str]:
        """Return none, as `stale` does."""
        del names, now
        return frozenset()


class MemoryAnnouncements:
    """`AnnouncementRepository` in memory; it is always empty."""

    async def by_task(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Announcement]]:
        del keys
        return {}

    async def forget(self, over: Sequence[Announcement]) -> None:
        del over
