"""When the schedule of each rule is due next in a simulation, in memory."""

from collections.abc import Mapping
from datetime import datetime

from service.domain.schedules import NONE_TOGETHER, Slot
from service.store.schedules import Schedules


class MemorySchedules:
    """`ScheduleRepository` in memory: the next slot of each rule in each account."""

    def __init__(self) -> None:
        self._in_force: Schedules = {}
        self._next: dict[tuple[str, str], datetime | None] = {}

    def put_in_force(self, wanted: Schedules, now: datetime) -> None:
        """Begin with the first slot of each of these schedules after `now`."""
        self._in_force = wanted
        self._next = {key: schedule.after(now) for key, schedule in wanted.items()}

    def next_moment(self) -> datetime | None:
        """When the next of them is due."""
        return min((at for at in self._next.values() if at is not None), default=None)

    async def take(
        self, wanted: Schedules, now: datetime, together: Mapping[str, datetime] = NONE_TOGETHER
    ) -> Slot | None:
        mine = (key for key, one in wanted.items() if self._in_force.get(key) == one)
        come = sorted(
            (at, key)
            for key in mine
            if (at := self._next[key]) is not None and at <= together.get(key[0], now)
        )
        if not come:
            return None
        due, (rule, account) = come[0]
        schedule = wanted[rule, account]
        self._next[rule, account] = schedule.after(now)
        return Slot(rule, account, schedule, due, schedule.latest(due, now))
