"""The waits of a simulation, in memory."""

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush

from service.domain.model import Event
from service.store.tasks import Key
from service.store.waits import Wait


@dataclass(slots=True)
class OpenWait:
    """The first event of a wait, when the wait began, and when it is over."""

    first: Event
    started_at: datetime
    ends_at: datetime


class MemoryWaits:
    """`WaitRepository` in memory: the rules that wait, by task."""

    def __init__(self) -> None:
        self._open: dict[Key, dict[str, OpenWait]] = defaultdict(dict)
        self._ends: list[tuple[datetime, Key, str]] = []

    async def start(
        self, rule: str, event: Event, now: datetime, quiet: timedelta, most: timedelta
    ) -> None:
        key = event.account, event.task_id
        wait = self._open[key].get(rule)
        if wait is None:
            wait = self._open[key][rule] = OpenWait(replace(event, after=None), now, now + quiet)
        else:
            wait.ends_at = min(wait.started_at + most, now + quiet)
        heappush(self._ends, (wait.ends_at, key, rule))

    def resume(self, wait: Wait, started_at: datetime, ends_at: datetime) -> None:
        """Load a wait that has begun in the database."""
        self._open[wait.key][wait.rule] = OpenWait(wait.first, started_at, ends_at)
        heappush(self._ends, (ends_at, wait.key, wait.rule))

    def next_moment(self) -> datetime | None:
        """When the next wait is over."""
        while self._ends and not self._is_waiting(*self._ends[0]):
            heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    async def over(self, accounts: Iterable[str], now: datetime, limit: int) -> Sequence[Key]:
        del limit
        wanted, over = set(accounts), []
        while (ends_at := self.next_moment()) is not None and ends_at <= now:
            over.append(heappop(self._ends))
        for one in over:
            heappush(self._ends, one)
        return list(dict.fromkeys(key for _, key, _ in over if key[0] in wanted))

    async def take(self, keys: Sequence[Key], now: datetime) -> list[Wait]:
        taken = [
            Wait(rule, wait.first)
            for key in keys
            for rule, wait in self._open[key].items()
            if self._is_over(rule, wait, now)
        ]
        await self.stop(taken)
        return sorted(taken, key=_order)

    async def about(self, keys: Iterable[Key], rules: Container[str]) -> list[Wait]:
        found = [
            Wait(rule, wait.first)
            for key in keys
            for rule, wait in self._open[key].items()
            if rule in rules
        ]
        return sorted(found, key=_order)

    async def stop(self, waits: Sequence[Wait]) -> None:
        for one in waits:
            self._open[one.key].pop(one.rule, None)

    def _is_waiting(self, ends_at: datetime, key: Key, rule: str) -> bool:
        wait = self._open[key].get(rule)
        return wait is not None and wait.ends_at == ends_at

    def _is_over(self, rule: str, wait: OpenWait, now: datetime) -> bool:
        del rule
        return wait.ends_at <= now


def _order(wait: Wait) -> tuple[int, str]:
    return wait.first.id, wait.rule
