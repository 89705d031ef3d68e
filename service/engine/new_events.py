"""Builds events, without their ids, from observations, alarms, signals and schedules.

Ids are assigned once the number of events is known, before the rules are evaluated.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias

from service.domain.alarms import DueAlarm
from service.domain.diff import Transition
from service.domain.model import (
    Cause,
    Event,
    Kind,
    Observation,
    Task,
)
from service.domain.schedules import Slot
from service.domain.signals import Acknowledgement, Signal
from service.store.tasks import Key, TaskState

EventFactory: TypeAlias = Callable[[int], Event]
"""Makes the event, given its id."""


def of_observation(
    look: Observation,
    last: TaskState,
    transitions: Iterable[Transition],
    written: frozenset[str] | None,
) -> list[EventFactory]:
    """The events of one observation of a task; Taskbell is writing the fields in `written`."""
    return [
        partial(_transition, look, last, one, _cause(look, one, written)) for one in transitions
    ]


def of_alarm(key: Key, one: DueAlarm, task: Task) -> EventFactory:
    """The event of an alarm that fires."""
    return partial(_alarm, key, one, task)


def of_signal(signal: Signal, known: TaskState) -> EventFactory:
    """The event of a signal about a known task."""
    return partial(_signal, signal, known)


def of_acknowledgement(said: Acknowledgement, before: Task, after: Task) -> EventFactory:
    """The event of a person who acknowledges a known task."""
    return partial(_acknowledgement, said, before, after)


def of_slot(slot: Slot, at: datetime, each: Sequence[Task] = ()) -> list[EventFactory]:
    """The event of a due schedule, followed by one for each task to evaluate."""
    return [partial(_slot, slot, at, task) for task in (None, *each)]


def _cause(look: Observation, one: Transition, written: frozenset[str] | None) -> Cause:
    """`write` if Taskbell made the task or wrote a changed field, else the observation's cause."""
    if written is not None and (
        one.kind is Kind.CREATED or not written.isdisjoint((*one.changed, one.kind.value))
    ):
        return Cause.WRITE
    return Cause.FETCH if look.cause is Cause.WRITE else look.cause


def _transition(
    look: Observation, last: TaskState, one: Transition, cause: Cause, number: int
) -> Event:
    return Event(
        id=number,
        account=look.account,
        task_id=look.task_id,
        kind=one.kind,
        at=look.observed_at,
        cause=cause,
        before=last.present,
        after=one.after or look.task,
        changed=one.changed,
    )


def _alarm(key: Key, one: DueAlarm, task: Task, number: int) -> Event:
    return Event(
        id=number,
        account=key[0],
        task_id=key[1],
        kind=one.alarm.kind,
        at=one.at,
        cause=Cause.CLOCK,
        before=None,
        after=task,
        alarm=str(one.alarm),
    )


def _slot(slot: Slot, at: datetime, task: Task | None, number: int) -> Event:
    return Event(
        id=number,
        account=slot.account,
        task_id="" if task is None else task.id,
        kind=Kind.SCHEDULED,
        at=at,
        cause=Cause.CLOCK,
        before=None,
        after=task,
        alarm=slot.schedule.cron,
        outdated=slot.outdated,
    )


def _signal(signal: Signal, known: TaskState, number: int) -> Event:
    return Event(
        id=number,
        account=signal.account,
        task_id=signal.task_id,
        kind=Kind.SIGNAL,
        at=signal.at,
        cause=Cause.SIGNAL,
        before=None,
        after=known.present,
        signal=signal.name,
    )


def _acknowledgement(said: Acknowledgement, before: Task, after: Task, number: int) -> Event:
    return Event(
        id=number,
        account=said.account,
        task_id=said.task_id,
        kind=Kind.ACKNOWLEDGED,
        at=said.at,
        cause=Cause.PERSON,
        before=before,
        after=after,
        changed=("acknowledged",),
    )
