"""The changes of an event, as shown on the page: each field before and after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.field_values import NOTHING, said_value
from service.domain.model import DAYS, Customer, Event, Task
from service.web import labels

FIELDS = {
    "acknowledged": "acknowledged",
    "acknowledged_by": "acknowledged by",
    "archived": "archived",
    "assignee": "assigned to",
    "assignees": "all assigned",
    "author": "author",
    "completed_at": "completed",
    "completed_by": "completed by",
    "contacts": "contacts",
    "created_at": "created",
    "customer": "customer",
    "description": "description",
    "done": "done",
    "due": "due",
    "end": "ends",
    "not_started": "not started",
    "priority": "priority",
    "project": "project",
    "start": "starts",
    "status": "status",
    "tags": "tags",
    "title": "title",
    "type": "type",
    "updated_at": "last changed",
    "url": "link",
}
"""The fields of a task in words."""


_FACTS = (
    *("customer", "contacts", "assignee", "assignees", "project", "due", "start", "end"),
    *("completed_at", "completed_by", "acknowledged_by", "status", "type", "priority", "tags"),
    *("author", "created_at", "updated_at", "description"),
)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One changed field: its name and its values, in words."""

    name: str
    before: str
    after: str


def facts(task: Task | None, zone: ZoneInfo, usual: ZoneInfo) -> Mapping[str, Any]:
    """The fields of the task that are not empty, in words."""
    if task is None:
        return {}
    found = {FIELDS[name]: said(task, name, zone, usual) for name in _FACTS}
    for alone, several in (("assignee", "assignees"), ("customer", "contacts")):
        if found[FIELDS[alone]] == found[FIELDS[several]]:
            del found[FIELDS[several]]
    own = {name.replace("_", " "): said_value(value) for name, value in task.fields.items()}
    every = found | _of_customer(task.customer) | own
    return {name: text for name, text in every.items() if text != NOTHING}


def _of_customer(customer: Customer | None) -> dict[str, str]:
    """What the account itself has of the customer."""
    if customer is None:
        return {}
    known = {"tags": customer.tags, "groups": customer.groups, **customer.fields}
    return {f"customer's {name.replace('_', ' ')}": said_value(one) for name, one in known.items()}


def changes(event: Event, zone: ZoneInfo, usual: ZoneInfo) -> list[FieldChange]:
    """The changed fields of the event; none if it has only one snapshot of the task."""
    before, after = event.before, event.after
    if before is None or after is None:
        return []
    return [
        change
        for name in event.changed
        if not name.endswith("_is_day")
        for change in _change(name, before, after, zone, usual)
    ]


def said(task: Task, name: str, zone: ZoneInfo, usual: ZoneInfo) -> str:
    """A field of a task in words; `nothing` if it is empty."""
    value = getattr(task, name, None)
    if isinstance(value, datetime):
        return _date(value, zone, usual, is_day=getattr(task, DAYS.get(name, ""), False))
    return said_value(value)


def _change(
    name: str, before: Task, after: Task, zone: ZoneInfo, usual: ZoneInfo
) -> Iterator[FieldChange]:
    if name == "fields":
        yield from _custom_changes(before.fields, after.fields)
        return
    old, new = said(before, name, zone, usual), said(after, name, zone, usual)
    yield FieldChange(FIELDS.get(name, name.replace("_", " ")), old, new)


def _custom_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield FieldChange(name, said_value(old.get(name)), said_value(new.get(name)))


def _date(moment: datetime, zone: ZoneInfo, usual: ZoneInfo, *, is_day: bool) -> str:
    if not is_day:
        return labels.teller(zone, usual)(moment)
    there = moment.astimezone(zone)
    return f"{there:%a} {there.day} {there:%b}"
