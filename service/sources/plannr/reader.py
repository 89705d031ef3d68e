"""Parses Plannr's JSON: tasks, their people, and the value of a case."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, ClassVar

from service.domain.flags import flag
from service.domain.model import Customer, Person, Project, Task
from service.domain.written_dates import is_date
from service.sources.dates import Dates
from service.sources.forms import (
    Form,
    a_date,
    a_text,
    are_labels,
    left_open,
    objects,
    parts,
    people,
)
from service.sources.pagination import enveloped
from service.sources.plannr.account import PlannrAccount
from service.sources.reader import Raw, TaskReader
from service.sources.values import (
    first_id,
    labels,
    mapping,
    members,
    prose,
    reference,
    references,
    required,
    several,
    text,
)


def _done_flag(status: Any) -> Any:
    """The status field that says whether the task is done, or all of a value that is no status."""
    return status.get("is_type_completed") if isinstance(status, dict) else status


_ALWAYS = frozenset(
    {
        "uuid",
        "name",
        "status",
        "due_at",
        "priority",
        "assigned_to",
        "taskable_type",
        "completed_at",
        "updated_at",
    }
)
_PERSON = ("id", "name", "email")
_FORMS = {
    "name": a_text("title"),
    "description": a_text("description"),
    "status": Form(
        lambda value: flag(_done_flag(value)) is not None, ("status", "done"), _done_flag
    ),
    "priority": a_text("priority"),
    "due_at": a_date("due"),
    "completed_at": a_date("completed_at"),
    "created_at": a_date("created_at"),
    "updated_at": a_date("updated_at"),
    "taskable_type": a_text("type"),
    "custom_fields": objects("fields"),
    "assigned_to": people("uuid", _PERSON, "assignee", "assignees"),
    "author": people("uuid", _PERSON, "author"),
    "completed_by": people("uuid", _PERSON, "completed_by"),
    "taskable": people("uuid", ("id",), "customer", "project"),
    **parts("taskable", dict.fromkeys(("tags", "groups"), are_labels)),
}
# What a field that is missing leaves open; where there is none, it is there and null.
_FILLS = {
    "name": ("title",),
    "description": ("description",),
    "status": ("status", "archived", "not_started"),
    "priority": ("priority",),
    "due_at": ("due",),
    "completed_at": ("completed_at",),
    "completed_by": ("completed_by",),
    "created_at": ("created_at",),
    "author": ("author",),
    "assigned_to": ("assignee", "assignees"),
    "taskable": ("customer", "project"),
    "taskable_type": ("type", "customer", "project"),
    "custom_fields": ("fields",),
}
# What a client may come with, beside name and addresses.
_OF_CLIENTS = {
    "tags": ("customer.tags",),
    "groups": ("customer.groups",),
    "custom_fields": ("customer.fields",),
}
_LONGEST_AMOUNT = 15  # digits
_WORTH = ("value", "value_currency", "value_formatted")
_FIELDS_OF_WORTH = frozenset(f"fields.{name}" for name in _WORTH)
PRIORITIES = {
    "low": "low",
    "medium": "normal",
    "normal": "normal",
    "high": "high",
    "highest": "highest",
}


class PlannrReader(TaskReader):
    """Reads the tasks of one Plannr account."""

    revision: ClassVar[int] = 3

    account: PlannrAccount

    @cached_property
    def dates(self) -> Dates:
        return replace(super().dates, fold=self.account.fold)

    def items(self, payload: Any) -> list[Raw] | None:
        return enveloped(payload)

    def identify(self, raw: Raw) -> str | None:
        return first_id(raw, "uuid", "id")

    def is_whole(self, raw: Raw) -> bool:
        return self._needed <= raw.keys() and "is_type_completed" in mapping(raw["status"])

    @cached_property
    def _needed(self) -> frozenset[str]:
        # What a list has and a webhook lacks would look like a change, back and forth.
        return _ALWAYS | ({"custom_fields"} & set(self.account.include))

    @property
    def forms(self) -> Mapping[str, Form]:
        return _FORMS

    def unknown_fields(self, raw: Raw) -> frozenset[str]:
        # Where the status does not say whether the task is done, the date does.
        said = mapping(raw.get("status")).get("is_type_completed")
        if said is None:
            is_told = "completed_at" in raw and is_date(raw["completed_at"])
        else:
            is_told = flag(said) is not None
        found = left_open(raw, _FILLS) if is_told else left_open(raw, _FILLS) | {"done"}
        if raw.get("taskable_type") == "client":
            found |= _left_open_of_client(mapping(raw.get("taskable")))
        if "value" in mapping(raw.get("taskable")):
            return found
        return found | _FIELDS_OF_WORTH if found else _FIELDS_OF_WORTH

    def parse(self, raw: Raw) -> Task:
        account = self.account
        status = mapping(raw.get("status"))
        due = self.dates.read(raw, "due_at", "due")
        completed = self.dates.read(raw, "completed_at", "completed_at")
        said = status.get("is_type_completed")
        done = completed.at is not None if said is None else flag(said) is True
        assignees = _people(raw.get("assigned_to"))
        kind = text(raw.get("taskable_type"))
        taskable = reference(raw.get("taskable"), "uuid")
        return Task(
            id=required(self.identify(raw), "uuid"),
            account=account.name,
            system=account.system,
            title=text(raw.get("name")) or "",
            description=prose(raw.get("description")),
            type=kind,
            status=text(status.get("name")),
            done=done,
            archived=flag(status.get("is_archived")) is True,
            not_started=flag(status.get("is_not_started")) is True,
            priority=PRIORITIES.get((text(raw.get("priority")) or "").casefold()),
            due=due.at,
            due_is_day=due.is_day,
            created_at=self.dates.moment(raw, "created_at"),
            updated_at=self.dates.moment(raw, "updated_at"),
            completed_at=completed.at if done else None,
            completed_at_is_day=completed.is_day and done,
            completed_by=_first(raw.get("completed_by")) if done else None,
            author=_first(raw.get("author")),
            assignee=assignees[0] if assignees else None,
            assignees=assignees,
            customer=_customer(taskable, account.customer_fields) if kind == "client" else None,
            project=_project(taskable) if kind != "client" else None,
            fields={**_worth(taskable), **_custom_fields(raw.get("custom_fields"))},
            revision=self.revision,
        )

    def version(self, raw: Raw) -> datetime | None:
        return self.dates.moment(raw, "updated_at")


def _left_open_of_client(client: Mapping[str, Any]) -> frozenset[str]:
    """What is not there, and what cannot be read, is left as it was."""
    read = {
        "tags": labels(client.get("tags")) is not None,
        "groups": labels(client.get("groups")) is not None,
        "custom_fields": _FORMS["custom_fields"].fits(client.get("custom_fields")),
    }
    return left_open({name: one for name, one in client.items() if read.get(name)}, _OF_CLIENTS)


def _people(value: Any) -> tuple[Person, ...]:
    if not value:
        return ()
    people = [_person(one) for one in references(value, "uuid")]
    return tuple([one for one in people if one is not None])


# Lists name the same people over and over.
_known_person = lru_cache(4096)(Person)


def _first(value: Any) -> Person | None:
    people = _people(value)
    return people[0] if people else None


def _person(raw: Mapping[str, Any]) -> Person | None:
    uuid, name, email = first_id(raw, "uuid", "id"), _name(raw), text(raw.get("email"))
    return _known_person(uuid, name, email) if uuid or name or email else None


def _customer(taskable: Mapping[str, Any], wanted: Mapping[str, str]) -> Customer | None:
    """The client, with the custom fields that are `wanted`: their names in rules and in Plannr."""
    uuid = first_id(taskable, "uuid", "id")
    if uuid is None:
        return None
    own = _custom_fields(taskable.get("custom_fields")) if wanted else {}
    return Customer(
        id=uuid,
        name=_name(taskable),
        email=text(taskable.get("email")),
        phone=text(taskable.get("phone")),
        tags=tuple(labels(taskable.get("tags")) or ()),
        groups=tuple(labels(taskable.get("groups")) or ()),
        fields={
            word: value
            for word, name in wanted.items()
            if (value := own.get(name)) not in (None, [])
        },
    )


def _project(taskable: Mapping[str, Any]) -> Project | None:
    uuid = first_id(taskable, "uuid", "id")
    return None if uuid is None else Project(id=uuid, name=_name(taskable))


def _worth(taskable: Mapping[str, Any]) -> dict[str, Any]:
    """The value of the case, in the currency's smallest unit, and as it is written."""
    value = mapping(taskable.get("value"))
    if not value:
        return {}
    amount, currency, written = (value.get(name) for name in ("amount", "currency", "formatted"))
    found = zip(_WORTH, (_amount(amount), text(currency), text(written)), strict=True)
    return {name: one for name, one in found if one is not None}


def _amount(value: Any) -> int | float | None:
    """An amount, which may be given as text."""
    is_written = isinstance(value, str) and value.isascii() and value.isdigit()
    found = int(value) if is_written and len(value) <= _LONGEST_AMOUNT else value
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def _name(raw: Mapping[str, Any]) -> str | None:
    return text(raw.get("name"))


def _custom_fields(value: Any) -> dict[str, Any]:
    fields = (mapping(one) for one in members(value))
    return {
        name: several(field.get("value"))
        for field in fields
        if (name := text(field.get("reference"))) is not None
    }
