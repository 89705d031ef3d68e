"""What an event changed of its task, field by field, as a person reads it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.model import DAYS, Customer, Event, Person, Project, Task
from service.explain.account_status import Told

_NAMES = {
    "due": "due date",
    "start": "start",
    "end": "end",
    "assignee": "assigned to",
    "assignees": "people assigned",
    "contacts": "contacts",
    "done": "done",
}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, and its value before and after."""

    name: str
    before: str
    after: str


def changes(event: Event, zone: ZoneInfo, told: Told) -> list[FieldChange]:
    """Each field that the event covers; days are those of `zone`, and `told` shows other times."""
    before, after = event.before, event.after
    if before is None or after is None:
        return []
    return [
        FieldChange(name, _shown(old, zone, told), _shown(new, zone, told))
        for field in event.changed
        for name, old, new in _parts(field, before, after)
    ]


def _parts(field: str, before: Task, after: Task) -> Iterator[tuple[str, Any, Any]]:
    """The name and both values of a field; of the account's own fields those that changed."""
    if field != "fields":
        name = _NAMES.get(field, field.replace("_", " "))
        yield name, _value(before, field), _value(after, field)
        return
    old, new = before.fields, after.fields
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)


@dataclass(frozen=True, slots=True)
class _Day:
    """A date of which only the day means anything."""

    at: datetime


def _value(task: Task, field: str) -> Any:
    value = getattr(task, field, None)
    is_day = field in DAYS and getattr(task, DAYS[field])
    return _Day(value) if is_day and isinstance(value, datetime) else value


def _shown(value: Any, zone: ZoneInfo, told: Told) -> str:
    if value is None or value in ("", (), []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(one, zone, told)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_shown(one, zone, told) for one in value)
    return _single(value, zone, told)


def _single(value: Any, zone: ZoneInfo, told: Told) -> str:
    match value:
        case _Day(at=at):
            there = at.astimezone(zone)
            return f"{there:%a} {there.day} {there:%b %Y}"
        case datetime():
            return told(value)
        case Person() | Customer() | Project():
            return _name(value)
    return str(value)


def _name(one: Person | Customer | Project) -> str:
    return one.name or getattr(one, "email", None) or one.id or "none"
