"""Recorded history, in batches, for simulations.

It is evaluated with the rules that were active at the time, to verify that they decide the same
again (`replay`); or with other rules, to see what they would have sent (`backtest`). `upcoming`
simulates the future. All of them only read: nothing is sent or written.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from service.domain.model import Cause, Event, Kind, Task
from service.domain.recurrence import moved
from service.store.history import RecordedEvent


@dataclass(frozen=True, slots=True)
class Batch:
    """The events that were decided on in one transaction, at `now` (UTC).

    The events of one group come from one observation of one task.
    """

    now: datetime
    rules_version: str
    groups: Sequence[Sequence[Event]]


def left(last: Event) -> Task | None:
    """The task after the last event of an observation.

    A recurring task that was observed as moved before its completion was announced is open as
    before.
    """
    is_moved_on = (
        last.kind is Kind.COMPLETED and moved(last.after, last.before, last.at) is not None
    )
    return last.before if is_moved_on else last.after


async def batches(recorded: AsyncIterator[RecordedEvent]) -> AsyncIterator[Batch]:
    """Recorded events, grouped as they were decided on."""
    group: list[RecordedEvent] = []
    async for one in recorded:
        if group and _of(group[0]) != _of(one):
            yield _batch(group)
            group = []
        group.append(one)
    if group:
        yield _batch(group)


def _of(one: RecordedEvent) -> tuple[datetime, str, Kind | Cause | None]:
    """A key that is equal for events of one transaction.

    Alarms, schedules and signals have transactions of their own.
    """
    kind, cause = one.event.kind, one.event.cause
    road = cause if cause in {Cause.CLOCK, Cause.SIGNAL} else None
    return one.decided_at, one.rules_version, kind if kind is Kind.SCHEDULED else road


def _batch(recorded: Sequence[RecordedEvent]) -> Batch:
    events = [one.event for one in recorded]
    groups = [list(group) for _, group in groupby(events, _cause_key)]
    return Batch(recorded[0].decided_at, recorded[0].rules_version, groups)


def _cause_key(event: Event) -> object:
    """A key that is equal for events of one observation of a task, or of one round of alarms."""
    key = event.account, event.task_id
    if event.cause is Cause.SIGNAL:
        return event.id
    return key if event.cause is Cause.CLOCK else (*key, event.at)
