"""Tasks as tests write them: a few fields, dates in local time."""

from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from service.errors import TaskbellError
from service.faults import Path
from service.model import TIMES, Customer, Person, Project, Task
from service.rules.shapes import PRIORITIES


class NotATask(TaskbellError):
    """A field that no task can have; `inside` is the way to it, `hint` what to write."""

    def __init__(self, message: str, inside: Path, hint: str | None = None) -> None:
        super().__init__(message)
        self.inside = inside
        self.hint = hint


def changed(task: Task, fields: Mapping[str, Any], zone: ZoneInfo, now: datetime) -> Task:
    """The task with these fields instead of what it had; dates without a zone are in `zone`.

    The one assignee is also the only one of its assignees, if these are not given; what is done
    was completed `now`. Raises NotATask.
    """
    values = check_fields(fields, zone)
    if "assignee" in values:
        person = values["assignee"]
        values.setdefault("assignees", () if person is None else (person,))
    if "done" in values:
        values.setdefault("completed_at", now.astimezone(UTC) if values["done"] else None)
    return replace(task, **{name: one for name, one in values.items() if name != "id"})


def check_fields(fields: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """The values that a task has for these fields; raises NotATask for the first it cannot."""
    known = {one.name for one in fields_of(Task)}
    return {name: _value(name, value, zone) for name, value in fields.items() if name in known}


def _value(name: str, value: Any, zone: ZoneInfo) -> Any:
    if value is None:
        return None
    if name in TIMES:
        return _date(name, value, zone)
    reader: Callable[[str, Any], Any] = _READERS.get(name, _text)
    return reader(name, value)


def _text(name: str, value: Any) -> str:
    del name
    return str(value)


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise NotATask(f"{name} is true or false", (name,))
    return value


def _priority(name: str, value: Any) -> str:
    if value not in PRIORITIES:
        raise NotATask(f"{name} is one of {', '.join(PRIORITIES)}", (name,))
    return str(value)


def _fields(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotATask(f"{name} holds names and values", (name,))
    return dict(value)


def _several(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotATask(f"{name} is a list", (name,))
    return value


def _tags(name: str, value: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in _several(name, value))


def _people(name: str, value: Any) -> tuple[Person, ...]:
    return tuple(_noun(Person, name, one) for one in _several(name, value))


def _date(name: str, value: Any, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        hint = "write it like 2026-03-06 16:30"
        raise NotATask(f"{name} is a date and time", (name,), hint) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _noun(noun: type[Any], name: str, value: Any) -> Any:
    known = [one.name for one in fields_of(noun)]
    if not isinstance(value, dict):
        raise NotATask(f"{name} has {', '.join(known)}", (name,))
    for inner in value:
        if inner not in known:
            raise NotATask(f"{name} has no {inner}; it has {', '.join(known)}", (name, inner))
    return noun(
        **{inner: one if isinstance(one, bool) else str(one) for inner, one in value.items()}
    )


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "assignee": partial(_noun, Person),
    "customer": partial(_noun, Customer),
    "project": partial(_noun, Project),
    "assignees": _people,
    "tags": _tags,
    "done": _truth,
    "fields": _fields,
    "priority": _priority,
}
