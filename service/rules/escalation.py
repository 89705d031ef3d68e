"""The end of an escalation: what cancels its further messages, and is added to the earlier ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from service.domain.model import Event, Kind
from service.rules.cancellation import ends_escalation
from service.rules.language.date_format import shown
from service.telemetry.visible import visible

_SOMEBODY = "somebody"
_SAID: Mapping[Kind, str] = {
    Kind.COMPLETED: "the task was completed",
    Kind.REOPENED: "the task was reopened",
    Kind.DELETED: "the task was deleted",
    Kind.RESCHEDULED: "the task was rescheduled",
    Kind.REASSIGNED: "the task was reassigned",
    Kind.CHANGED: "the status of the task has changed",
}


@dataclass(frozen=True, slots=True)
class EscalationEnd:
    """An event that ends the escalations about its task: why, and a line for earlier messages."""

    event: Event
    reason: str
    line: str


def ends(happened: Iterable[Event], zones: Mapping[str, ZoneInfo]) -> list[EscalationEnd]:
    """Those of these events that end escalations, the first one of each task."""
    found: dict[tuple[str, str], EscalationEnd] = {}
    for event in happened:
        if ends_escalation(event):
            key = event.account, event.task_id
            found.setdefault(key, _end(event, zones[event.account]))
    return list(found.values())


def _end(event: Event, zone: ZoneInfo) -> EscalationEnd:
    reason = _reason(event)
    at = shown(event.at, zone, is_day=False)
    return EscalationEnd(event, f"cancelled: {reason}", f"({reason}, {at})")


def _reason(event: Event) -> str:
    if event.kind is not Kind.ACKNOWLEDGED:
        return _SAID[event.kind]
    person = event.task.acknowledged_by
    return f"{visible(person.name) if person and person.name else _SOMEBODY} acknowledged the task"
