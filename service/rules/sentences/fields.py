"""The fields of a task in words, by the paths that expressions and texts use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from service.domain.model import TIMES

_BEFORE, _FIELDS = "before", "fields"
FIELDS = {
    "id": "number",
    "account": "account",
    "system": "system",
    "title": "title",
    "url": "address",
    "description": "description",
    "type": "type",
    "status": "status",
    "priority": "priority",
    "due": "due date",
    "start": "start",
    "end": "end",
    "created_at": "creation date",
    "updated_at": "last change",
    "completed_at": "completion date",
    "assignee": "assignee",
    "assignees": "assignees",
    "author": "author",
    "completed_by": "finisher",
    "customer": "customer",
    "contacts": "contacts",
    "project": "project",
    "tags": "tags",
    "fields": "own fields",
    "done": "completion",
    "archived": "archiving",
    "not_started": "begin",
    "acknowledged": "acknowledgement",
    "acknowledged_by": "person who acknowledged it",
    "due_is_day": "due date",
    "start_is_day": "start",
    "end_is_day": "end",
    "completed_at_is_day": "completion",
}
_OF_PEOPLE = {
    "id": "number",
    "name": "name",
    "email": "email address",
    "phone": "phone number",
    "number": "number",
}
_OF_CUSTOMERS = {"tags": "tags", "groups": "groups", "fields": "own fields"}
# A truth in words, and its opposite; {} is the verb, now or before.
_TRUTHS = {
    "done": ("it is done", "it is not done"),
    "archived": ("it is archived", "it is not archived"),
    "not_started": ("work on it has not begun", "work on it has begun"),
    "acknowledged": ("someone has acknowledged it", "no one has acknowledged it"),
    "customer.opted_out": ("its customer has opted out", "its customer has not opted out"),
    **{
        f"{name}_is_day": (
            f"its {FIELDS[name]} is a day without a time",
            f"its {FIELDS[name]} has a time",
        )
        for name in ("due", "start", "end", "completed_at")
    },
}
PLURALS = frozenset({"assignees", "contacts", "tags", "groups", "own fields"})
_OWN = re.compile(r"fields\.(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of fields where a task is called `variable`."""

    variable: str = "task"

    def field(self, path: str) -> str | None:
        """Such as `its due date` or `its previous assignee's name`; None if there are no words."""
        first, _, rest = path.partition(".")
        own = {self.variable: "its ", _BEFORE: "its previous "}.get(first)
        noun = None if own is None else noun_of(rest)
        return None if noun is None else f"{own}{noun}"

    def truth(self, path: str, *, is_so: bool) -> str | None:
        """A field that is true or false, such as `it is not done`; None for another field."""
        first, _, rest = path.partition(".")
        words = _TRUTHS.get(rest)
        if words is None or first not in {self.variable, _BEFORE}:
            return None
        said = words[0] if is_so else words[1]
        return f"{said} before the change" if first == _BEFORE else said

    def owner(self, path: str) -> tuple[str, str] | None:
        """Who has the last field of a path, and that field: `its customer` and `email address`.

        None if there are no words.
        """
        around, _, last = path.rpartition(".")
        if around in {self.variable, _BEFORE}:
            noun = noun_of(last)
            return None if noun is None else ("it", noun)
        whose = self.field(around)
        inner = _within(around.partition(".")[2]).get(last)
        return None if whose is None or inner is None else (whose, inner)


def noun_of(path: str) -> str | None:
    """The field of a task, such as `due date` or `assignee's name`; None if there are no words."""
    if (own := _own_name(path)) is not None:
        return own
    name, _, rest = path.partition(".")
    noun = FIELDS.get(name)
    if noun is None or not rest:
        return noun
    inner = _within(name).get(rest) or _own_name(rest)
    return None if inner is None else f"{noun}'s {inner}"


def _within(name: str) -> Mapping[str, str]:
    """The words for what a person or customer in a task has."""
    return _OF_PEOPLE | _OF_CUSTOMERS if name in {"customer", "contacts"} else _OF_PEOPLE


def _own_name(path: str) -> str | None:
    own = _OWN.fullmatch(path)
    return None if own is None else f"“{own[1]}”"


def is_time(path: str) -> bool:
    """Whether the field is a date."""
    return path.rpartition(".")[2] in TIMES
