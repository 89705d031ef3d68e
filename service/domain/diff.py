"""Computes the changes between two observations of a task: a pure function, for every source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from service.domain.days import is_same_day
from service.domain.model import DAYS, NOUNS, Kind, Task
from service.domain.people import are_same, is_same

# What changes without a transition of its own.
SILENT = frozenset(
    {
        *("id", "account", "system", "url", "created_at", "updated_at"),
        *("completed_at", "completed_by", "author", "done"),
        "not_started",  # its status tells it
        *("acknowledged", "acknowledged_by"),  # an event of its own; a change of the task ends it
        *DAYS.values(),  # the date itself shows it
        "revision",
    }
)
_KIND_OF = {
    "due": Kind.RESCHEDULED,
    "start": Kind.RESCHEDULED,
    "end": Kind.RESCHEDULED,
    "assignee": Kind.REASSIGNED,
    "assignees": Kind.REASSIGNED,
}
# It holds the name of the person who made a task, who stays the same one.
_MAKERS = frozenset({"creator"})
_WATCHED = tuple(field.name for field in fields(Task) if field.name not in SILENT)
_ORDER = (Kind.RESCHEDULED, Kind.REASSIGNED, Kind.CHANGED)


# After these a task is not as it was when a person acknowledged it.
_ENDS_ACKNOWLEDGEMENT = frozenset(
    {Kind.COMPLETED, Kind.REOPENED, Kind.RESCHEDULED, Kind.REASSIGNED}
)


@dataclass(frozen=True, slots=True)
class Transition:
    """One kind of change and the fields it covers; each changed field is in exactly one.

    `after` is the task after it, if the task had changed again before it was observed.
    """

    kind: Kind
    changed: tuple[str, ...] = ()
    after: Task | None = None


def diff(before: Task | None, after: Task | None, lost: Task | None = None) -> list[Transition]:
    """The transitions from `before` to `after`; None stands for a task that does not exist.

    `lost` is its state when it was deleted, if it was: then it is restored and not created. A task
    that appears and is done was completed as well, unless it was done when it was deleted. A status
    that changes together with `done`, and whether the task is archived, is part of the completion,
    not a separate change. People, customers and projects are compared by identity, and fields
    without an order as sets. A field that an earlier version of Taskbell did not store is not a
    change.
    """
    if before is None or after is None:
        return _appearance(before, after, lost)
    found: dict[Kind, list[str]] = {}
    for name in _WATCHED:
        if _is_alike(before, after, name):
            continue
        if before.revision < after.revision and _is_first_kept(name, before, after):
            continue
        found.setdefault(_KIND_OF.get(name, Kind.CHANGED), []).append(name)
    if "assignee" in found.get(Kind.REASSIGNED, ()) and _is_turned(before, after):
        found[Kind.REASSIGNED].remove("assignee")
    transitions = []
    if before.done != after.done:
        transitions.append(_completion(after, found))
    transitions += [Transition(kind, tuple(found[kind])) for kind in _ORDER if found.get(kind)]
    if after.acknowledged and not before.acknowledged:
        transitions.append(Transition(Kind.ACKNOWLEDGED, ("acknowledged",)))
    return transitions


def still_acknowledged(before: Task, after: Task) -> Task:
    """`after`, acknowledged as `before` was, unless the task has changed too much for that."""
    if not before.acknowledged or after.acknowledged:
        return after
    if any(
        one.kind in _ENDS_ACKNOWLEDGEMENT and not _is_taken(one, before, after)
        for one in diff(before, after)
    ):
        return after
    return replace(after, acknowledged=True, acknowledged_by=before.acknowledged_by)


def _is_taken(one: Transition, before: Task, after: Task) -> bool:
    """Whether a task was assigned to just that person who has acknowledged it."""
    person = before.acknowledged_by
    is_known = person is not None and person.id is not None
    return one.kind is Kind.REASSIGNED and is_known and is_same(person, after.assignee)


def _appearance(before: Task | None, after: Task | None, lost: Task | None) -> list[Transition]:
    if after is None:
        return [Transition(Kind.DELETED)] if before is not None else []
    appeared = Transition(Kind.CREATED if lost is None else Kind.RESTORED)
    was_done = lost is not None and lost.done
    is_completed = after.done and not was_done
    return [appeared, Transition(Kind.COMPLETED, ("done",))] if is_completed else [appeared]


def _is_alike(before: Task, after: Task, name: str) -> bool:
    one, other = getattr(before, name), getattr(after, name)
    if one == other:
        return True
    if name in DAYS:
        return is_same_day(before, after, name)
    return name in _SAME and _SAME[name](one, other)


def _is_turned(before: Task, after: Task) -> bool:
    """Whether another person is first among the same people."""
    return bool(after.assignees) and are_same(before.assignees, after.assignees)


def _have_same(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return set(some) == set(others)


def _hold_same(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether the values are the same; several values of one field have no order."""
    names = (some.keys() | others.keys()) - _MAKERS
    missing = object()
    return all(_in_order(some.get(n, missing)) == _in_order(others.get(n, missing)) for n in names)


def _in_order(value: Any) -> Any:
    return sorted(value, key=repr) if isinstance(value, list | tuple) else value


def _is_first_kept(name: str, before: Task, after: Task) -> bool:
    """Whether a new value of a field may have existed before, and only was not stored."""
    if name in _KIND_OF:
        return False
    if name != "fields":
        return not getattr(before, name)
    return all(after.fields.get(one) == value for one, value in before.fields.items() if value)


def _completion(after: Task, found: dict[Kind, list[str]]) -> Transition:
    changed = found.get(Kind.CHANGED, [])
    names = [name for name in ("status", "archived") if name in changed]
    for name in names:
        changed.remove(name)
    return Transition(Kind.COMPLETED if after.done else Kind.REOPENED, ("done", *names))


_SAME: Mapping[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(NOUNS, is_same),
    **dict.fromkeys(("assignees", "contacts"), are_same),
    "tags": _have_same,
    "fields": _hold_same,
}
