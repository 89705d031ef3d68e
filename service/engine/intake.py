"""Processes observations: what they change, which events follow, which tasks must be re-read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.alarms import WatchedDates
from service.domain.directory import Directory
from service.domain.model import Kind, Observation
from service.engine.announced import PendingAnnouncements
from service.engine.effects import UnconfirmedChange
from service.engine.new_events import EventFactory, of_observation
from service.engine.tracking import (
    counts_from,
    has_version_conflict,
    needs_reread,
    on_its_day,
    track,
    with_known_fields,
)
from service.store.accounts import AccountState
from service.store.tasks import Key, TaskState


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of some observations: changes, events, and tasks that must be re-read.

    `older`: tasks that are shown in an older version than the stored one, and from when on that
    version is accepted. `unproven`: changes that are announced, but not shown by the data.
    """

    changed: dict[Key, TaskState] = field(default_factory=dict)
    happened: list[list[EventFactory]] = field(default_factory=list)
    to_reread: list[Key] = field(default_factory=list)
    older: dict[Key, datetime] = field(default_factory=dict)
    unproven: list[UnconfirmedChange] = field(default_factory=list)

    def doubt(self, place: int, look: Observation, last: TaskState) -> None:
        """Record that a webhook's observation must be confirmed by reading the task."""
        is_other = look.task is not None and look.task != last.present
        self.expect(place, look, look.announced | ({Kind.CHANGED} if is_other else set()))

    def expect(self, place: int, look: Observation, kinds: frozenset[Kind]) -> None:
        """Record changes that a webhook's observation announces and its data does not show."""
        if look.pushed and kinds:
            self.unproven.append(UnconfirmedChange(place, kinds, look.task))


@dataclass(frozen=True, slots=True)
class Intake:
    """Compares observations with the stored states of their tasks.

    `people` completes what systems do not report about people. `zones` has the time zone, and
    `dates` the dates that alarms count from, of every account.
    """

    people: Directory
    zones: Mapping[str, ZoneInfo]
    dates: Mapping[str, WatchedDates]

    def take(
        self,
        seen: Sequence[Observation],
        known: Mapping[Key, TaskState],
        states: Mapping[str, AccountState],
        ours: Mapping[Key, frozenset[str]],
        announced: PendingAnnouncements,
        now: datetime,
    ) -> Taken:
        """Process the observations, in the order in which they were requested.

        `states` are the accounts, `ours` the fields of these tasks that Taskbell itself is writing.
        """
        taken = Taken()
        for place, one in sorted(enumerate(seen), key=lambda each: each[1].observed_at):
            key = (one.account, one.task_id)
            last = taken.changed.get(key, known[key])
            own = on_its_day(
                last, with_known_fields(last, one, self.people), self.zones[one.account]
            )
            look, confirmed = announced.of(own), announced.confirmed(own, last)
            state = states[look.account]
            if needs_reread(last, look, state):
                taken.to_reread.append(key)
                taken.doubt(place, own, last)
            elif has_version_conflict(last, look):
                taken.older[key] = counts_from(last, now)
            elif step := track(last, look, state, self.dates[look.account], now, confirmed):
                taken.changed[key] = step.known
                taken.happened.append(of_observation(look, last, step.transitions, ours.get(key)))
                taken.expect(place, own, announced.take(own, last, confirmed))
        return taken
