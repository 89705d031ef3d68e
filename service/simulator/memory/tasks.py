"""The tasks of a simulation and their alarms, in memory."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import heappop, heappush

from service.domain.model import Task
from service.store.tasks import Key, TaskState, TaskUpdate


class MemoryTasks:
    """`TaskRepository` in memory: the state of each task, and when its next alarm is due."""

    def __init__(self) -> None:
        self._known: dict[Key, TaskState] = {}
        self._alarm_of: dict[Key, datetime | None] = {}
        self._alarms: list[tuple[datetime, Key]] = []

    def current(self, key: Key) -> Task | None:
        """The task as it is now; None if there is none."""
        known = self._known.get(key)
        return None if known is None else known.present

    def next_moment(self) -> datetime | None:
        """When the next alarm is due."""
        while self._alarms and self._alarm_of.get(self._alarms[0][1]) != self._alarms[0][0]:
            heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    async def lock(self, keys: Iterable[Key]) -> dict[Key, TaskState]:
        return {key: self._known.get(key, TaskState()) for key in sorted(set(keys))}

    async def lock_due(
        self, alarm_sets: Mapping[str, str], now: datetime, limit: int
    ) -> dict[Key, TaskState]:
        del limit
        due = []
        while (at := self.next_moment()) is not None and at <= now:
            due.append(heappop(self._alarms))
        for one in due:
            heappush(self._alarms, one)
        known = {key: self._known[key] for _, key in due}
        return {key: one for key, one in known.items() if one.alarm_set == alarm_sets.get(key[0])}

    async def present(self, keys: Iterable[Key]) -> Mapping[Key, Task]:
        return {key: task for key in keys if (task := self.current(key)) is not None}

    async def pages(self, account: str, fields: Collection[str]) -> AsyncIterator[Sequence[Task]]:
        del fields
        yield [task for key in self._known if key[0] == account and (task := self.current(key))]

    async def save(self, updates: Sequence[TaskUpdate]) -> None:
        for one in updates:
            is_set = one.known.alarm_set == one.alarm_set
            self._known[one.key] = (
                one.known if is_set else replace(one.known, alarm_set=one.alarm_set)
            )
            self._alarm_of[one.key] = one.next_alarm
            if one.next_alarm is not None:
                heappush(self._alarms, (one.next_alarm, one.key))

    async def forget_placeholders(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if (known := self._known.get(key)) is not None and known.task is None:
                del self._known[key]
