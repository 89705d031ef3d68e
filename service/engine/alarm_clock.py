"""Schedules and fires the alarms of tasks, and finds alarms that an earlier alarm set missed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.alarm_sets import AlarmSet, carried_over, owed
from service.domain.alarms import Alarm, WatchedDates, due, next_alarm
from service.engine.new_events import EventFactory, of_alarm
from service.store.alarm_sets import OutdatedAlarmSet
from service.store.tasks import Key, TaskState, TaskUpdate


class AlarmClock:
    """The alarms of one configuration, in the accounts of these `zones`.

    `alarm_sets`, their `ids` and the `dates` that alarms count from are by account.
    """

    def __init__(self, alarms: frozenset[Alarm], zones: Mapping[str, ZoneInfo]) -> None:
        self.alarm_sets = {name: AlarmSet(alarms, zone) for name, zone in zones.items()}
        self.ids = {name: alarm_set.id for name, alarm_set in self.alarm_sets.items()}
        self._names = frozenset(alarm.field for alarm in alarms)
        self.dates = {name: WatchedDates(self._names, zone) for name, zone in zones.items()}

    def set(self, key: Key, known: TaskState, now: datetime) -> TaskUpdate:
        """The update of a task, with its next alarm.

        A task that still uses another alarm set is scheduled for now, so that it is recomputed.
        """
        task, mine = known.present, self.ids[key[0]]
        if task is None or not task.is_open:
            return TaskUpdate(key, known)
        if known.alarm_set not in {None, mine}:
            return TaskUpdate(key, known, now, known.alarm_set)
        alarm_set = self.alarm_sets[key[0]]
        return TaskUpdate(
            key,
            known,
            next_alarm(task, alarm_set.alarms, alarm_set.zone, known.announced_until),
            mine,
        )

    def due_events(self, key: Key, known: TaskState, now: datetime) -> list[EventFactory]:
        """The events of the alarms that are due and have not fired."""
        task = known.present
        if task is None:
            return []
        alarm_set = self.alarm_sets[key[0]]
        coming = due(task, alarm_set.alarms, alarm_set.zone, known.announced_until, now)
        return [of_alarm(key, one, task) for one in coming]

    def announce(self, known: TaskState, now: datetime) -> TaskState:
        """The task, with all its alarms announced up to now.

        `announced_until` never moves back, even if another worker's clock is a little ahead.
        """
        lines = {date: max(now, known.announced_until.get(date, now)) for date in self._names}
        return replace(known, announced_until={**known.announced_until, **lines})

    def missed_alarms(
        self, key: Key, known: TaskState, old: OutdatedAlarmSet, now: datetime
    ) -> list[EventFactory]:
        """The events of alarms that the `old` alarm set should have fired and did not."""
        task = known.present
        if task is None:
            return []
        late = owed(
            task, known.announced_until, old.alarm_set, self.alarm_sets[old.account], old.since, now
        )
        return [of_alarm(key, one, task) for one in late]

    def adopt_alarms(self, known: TaskState, old: OutdatedAlarmSet) -> TaskState:
        """The task without the old alarm set; it gets the current set when it is saved.

        Call `missed_alarms` first.
        """
        task = known.present
        if task is None:
            return known
        new = self.alarm_sets[old.account]
        announced_until = carried_over(task, known.announced_until, old.alarm_set, new, old.since)
        return replace(known, announced_until=announced_until, alarm_set=None)
