"""The accounts of a simulation, in memory."""

from collections.abc import Collection, Mapping
from datetime import datetime

from service.store.accounts import AccountState


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
