"""What was recorded, gone through once more: by the same rules to prove them, or by others to try.

Everything here reads; nothing is ever sent or written.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from service.model import Cause, Event, Kind
from service.store.history import Recorded


@dataclass(frozen=True, slots=True)
class Batch:
    """What was decided on in one transaction: events, each group of one look at a task."""

    now: datetime
    rules_version: str
    groups: Sequence[Sequence[Event]]


async def batches(recorded: AsyncIterator[Recorded]) -> AsyncIterator[Batch]:
    """Put together again what was decided on together."""
    group: list[Recorded] = []
    async for one in recorded:
        if group and _of(group[0]) != _of(one):
            yield _batch(group)
            group = []
        group.append(one)
    if group:
        yield _batch(group)


def _of(one: Recorded) -> tuple[datetime, str, Kind | Cause | None]:
    """The same for what was decided on together.

    The clock, schedules and signals are by themselves.
    """
    kind, cause = one.event.kind, one.event.cause
    road = cause if cause in {Cause.CLOCK, Cause.SIGNAL} else None
    return one.decided_at, one.rules_version, kind if kind is Kind.SCHEDULED else road


def _batch(recorded: Sequence[Recorded]) -> Batch:
    events = [one.event for one in recorded]
    groups = [list(group) for _, group in groupby(events, _look)]
    return Batch(recorded[0].decided_at, recorded[0].rules_version, groups)


def _look(event: Event) -> object:
    """The same for what one look, or one round of the clock, has brought to light about a task."""
    key = event.account, event.task_id
    if event.cause is Cause.SIGNAL:
        return event.id
    return key if event.cause is Cause.CLOCK else (*key, event.at)
