"""When the rules by a schedule come next, in memory."""

from datetime import datetime

from service.schedules import Slot
from service.store.schedules import Schedules


class MemorySchedules:
    """As `service.store.schedules`, for one process."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, str], datetime | None] = {}

    def put_in_force(self, wanted: Schedules, now: datetime) -> None:
        """Have these come from now on."""
        self._next = {key: schedule.after(now) for key, schedule in wanted.items()}

    def next_moment(self) -> datetime | None:
        """When the next of them comes."""
        return min((at for at in self._next.values() if at is not None), default=None)

    def take(self, wanted: Schedules, now: datetime) -> Slot | None:
        come = sorted((at, key) for key, at in self._next.items() if at is not None and at <= now)
        if not come:
            return None
        due, (rule, account) = come[0]
        schedule = wanted[rule, account]
        self._next[rule, account] = schedule.after(now)
        return Slot(rule, account, schedule, due, schedule.latest(due, now))
