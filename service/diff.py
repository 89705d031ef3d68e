"""What happened between two looks at a task: pure, and the same for every road."""

from dataclasses import dataclass, fields

from service.model import Customer, Kind, Task

# What changes without a transition of its own.
SILENT = frozenset(
    {
        *("id", "account", "system", "url", "created_at", "updated_at"),
        *("completed_at", "completed_by", "author", "done"),
        "not_started",  # its status tells it
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
_WATCHED = tuple(field.name for field in fields(Task) if field.name not in SILENT)
_ORDER = (Kind.RESCHEDULED, Kind.REASSIGNED, Kind.CHANGED)


@dataclass(frozen=True, slots=True)
class Transition:
    """One kind of change and the fields it covers; each changed field is in exactly one."""

    kind: Kind
    changed: tuple[str, ...] = ()


def diff(before: Task | None, after: Task | None, lost: Task | None = None) -> list[Transition]:
    """The transitions from `before` to `after`; None stands for a task that is not there.

    `lost` is how it looked when it was deleted, if it was: then it is restored and not created.
    A status that changes together with `done`, and is archived or not, is part of the completion,
    not a change of its own. A customer of whom the id alone was known does not change by getting a
    name, nor does a task by what an earlier version of Taskbell did not keep of it.
    """
    if before is None or after is None:
        return _appearance(before, after, lost)
    found: dict[Kind, list[str]] = {}
    for name in _WATCHED:
        if getattr(before, name) == getattr(after, name):
            continue
        if name == "customer" and _is_introduction(before.customer, after.customer):
            continue
        if before.revision < after.revision and _is_first_kept(name, before, after):
            continue
        found.setdefault(_KIND_OF.get(name, Kind.CHANGED), []).append(name)
    transitions = []
    if before.done != after.done:
        transitions.append(_completion(after, found))
    transitions += [Transition(kind, tuple(found[kind])) for kind in _ORDER if found.get(kind)]
    return transitions


def _appearance(before: Task | None, after: Task | None, lost: Task | None) -> list[Transition]:
    if after is None:
        return [Transition(Kind.DELETED)] if before is not None else []
    if lost is None:
        return [Transition(Kind.CREATED)]
    restored = Transition(Kind.RESTORED)
    is_news = after.done and not lost.done
    return [restored, Transition(Kind.COMPLETED, ("done",))] if is_news else [restored]


def _is_introduction(before: Customer | None, after: Customer | None) -> bool:
    if before is None or after is None:
        return False
    return before.is_reference and before.id == after.id


def _is_first_kept(name: str, before: Task, after: Task) -> bool:
    """Whether what is new in a field may have been there before, and only was not kept."""
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
