"""Alarms and schedules that came due while a person had switched their rule off.

While a worker runs, such an alarm is ignored. If no worker ran, it is found later, when the rule
may be on again: it is then only recorded, and sends nothing.
"""

from datetime import UTC, datetime

from service.domain.model import Event, Kind, Task
from service.domain.operators.overrides import OffPeriods
from service.rules.verdict import Verdict


def unless_off(event: Event, verdict: Verdict, off: OffPeriods) -> Verdict:
    """The verdict on an event, which is too late if its rule was off when its time came.

    A task that was changed since may have got its date only then: that is told.
    """
    off_until = _off_until(off, verdict.rule, event.at) if event.alarm else None
    if off_until is None:
        return verdict
    if event.kind is not Kind.SCHEDULED and _changed_at(event.task) >= off_until:
        return verdict
    reason = f"the rule was switched off then, until {off_until:%Y-%m-%d %H:%M} UTC"
    return verdict.too_late(event.id, reason)


def _off_until(off: OffPeriods, rule: str, moment: datetime) -> datetime | None:
    """The end of the period in which the rule was switched off then, if it was."""
    return next((end for start, end in off.get(rule, ()) if start <= moment < end), None)


def _changed_at(task: Task) -> datetime:
    """When a task was last changed; if its system does not say so, it may have been just now."""
    return task.updated_at or task.created_at or datetime.max.replace(tzinfo=UTC)
