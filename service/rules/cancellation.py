"""Which events of a task cancel unsent deliveries about it, and end its escalations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from service.domain.alarms import CLOCK_KINDS, date_of
from service.domain.model import Cause, Event, Kind
from service.domain.operators.buttons import acknowledged_by
from service.domain.task_dates import FIELDS
from service.rules.language.date_format import shown
from service.telemetry.visible import visible

_UNDONE_BY = {
    Kind.COMPLETED: frozenset({Kind.REOPENED.value}),
    Kind.CREATED: frozenset({Kind.DELETED.value}),
    Kind.RESTORED: frozenset({Kind.DELETED.value}),
    Kind.DELETED: frozenset({Kind.RESTORED.value}),
}
_ENDS_ALARMS = frozenset({Kind.COMPLETED.value, Kind.DELETED.value, f"{Kind.CHANGED}:archived"})
_ENDED: Mapping[Kind, str] = {
    Kind.COMPLETED: "the task was completed",
    Kind.REOPENED: "the task was reopened",
    Kind.DELETED: "the task was deleted",
    Kind.RESCHEDULED: "the task was rescheduled",
    Kind.REASSIGNED: "the task was reassigned",
    Kind.CHANGED: "the status of the task has changed",
}


def withdraw_on(event: Event, *, is_pending: bool, is_undone: bool) -> frozenset[str]:
    """The events that cancel a delivery while it is not sent; `is_undone`: it has `on_undo`."""
    if not event.task_id:
        return frozenset()
    if is_pending or event.kind in CLOCK_KINDS:
        return ends_waiting(event.kind, event.alarm)
    # What would be rewritten the moment it is out need not go out.
    return _UNDONE_BY.get(event.kind, frozenset()) if is_undone else frozenset()


_ENDING = frozenset(
    {
        *(Kind.ACKNOWLEDGED, Kind.COMPLETED, Kind.REOPENED, Kind.DELETED),
        *(Kind.RESCHEDULED, Kind.REASSIGNED),
    }
)
_MOVING = frozenset({Kind.RESCHEDULED, Kind.REASSIGNED, Kind.CHANGED})


def ends_escalation(event: Event) -> bool:
    """Whether nobody has to be told any more what a message with `escalate` says.

    Somebody has seen to it, or the task is another one. What Taskbell writes itself may be part of
    the escalation, and does not count, unless it completes or deletes the task.
    """
    if event.cause is Cause.WRITE and event.kind in _MOVING:
        return False
    is_set_aside = not {"status", "archived"}.isdisjoint(event.changed)
    return event.kind in _ENDING or (event.kind is Kind.CHANGED and is_set_aside)


def ends_waiting(kind: Kind, alarm: str | None) -> frozenset[str]:
    """The `words` of the events that cancel what waits because of this event.

    An alarm is cancelled when its date moves: it fires again for the new date.
    """
    if kind in CLOCK_KINDS:
        return _ENDS_ALARMS | _moves(date_of(alarm))
    if kind is Kind.DELETED:
        return _UNDONE_BY[kind]
    undone = Kind.REOPENED if kind is Kind.COMPLETED else Kind.COMPLETED
    return frozenset({undone.value, Kind.DELETED.value})


def _moves(date: str | None) -> frozenset[str]:
    """The `words` of events that move a date of a task; of any date if it is not known which."""
    if date == "updated_at":  # no event names it: whatever is changed was updated
        return frozenset({Kind.RESCHEDULED.value, Kind.REASSIGNED.value, Kind.CHANGED.value})
    if date is not None and date.startswith(FIELDS):
        return frozenset({f"{Kind.CHANGED}:{date}"})
    return frozenset({f"{Kind.RESCHEDULED}:{date}" if date else Kind.RESCHEDULED.value})


@dataclass(frozen=True, slots=True)
class EscalationEnd:
    """An event that ends the escalations about its task: why, and a line for earlier messages."""

    event: Event
    reason: str
    line: str


def escalation_ends(
    happened: Iterable[Event], zones: Mapping[str, ZoneInfo]
) -> list[EscalationEnd]:
    """Those of these events that end escalations, the first one of each task."""
    found: dict[tuple[str, str], EscalationEnd] = {}
    for event in happened:
        if ends_escalation(event):
            key = event.account, event.task_id
            found.setdefault(key, _end(event, zones[event.account]))
    return list(found.values())


def _end(event: Event, zone: ZoneInfo) -> EscalationEnd:
    reason = end_of(event)
    at = shown(event.at, zone, is_day=False)
    return EscalationEnd(event, f"cancelled: {reason}", f"({reason}, {at})")


def end_of(event: Event) -> str:
    """What has ended an escalation, in words."""
    if event.kind is not Kind.ACKNOWLEDGED:
        return _ENDED[event.kind]
    person = event.task.acknowledged_by
    return acknowledged_by(visible(person.name) if person and person.name else None)
