"""The lookups of a simulation: none, as there is no system to read from."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from service.domain.model import Cause
from service.store.tasks import Key


class MemoryLookups:
    """`LookupRepository` in memory; every observation is right, and nothing is read again."""

    async def ask(self, keys: Sequence[Key], cause: Cause, now: datetime) -> None:
        del keys, cause, now

    async def ask_again(self, older: Mapping[Key, datetime], now: datetime) -> None:
        del older, now
