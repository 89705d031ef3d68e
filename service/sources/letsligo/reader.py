"""Parses LetsLigo's JSON: that of API Platform, in which a task's contact is an IRI."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from service.domain.flags import flag
from service.domain.model import Customer, Task
from service.sources.dates import ParsedDate
from service.sources.forms import Form, a_date, a_flag, a_text, an_object
from service.sources.letsligo.account import LetsLigoAccount
from service.sources.pagination import rows_of
from service.sources.reader import Raw, TaskReader
from service.sources.values import (
    flattened,
    identifier,
    mapping,
    members,
    prose,
    required,
    text,
)

TASKS = "/api/contact_tasks"
CONTACTS = "/api/contacts"

_LEAN = ("title", "type", "dueDate", "completed")
_FULL = (*_LEAN, "taskKind", "payload", "description", "completedAt")
# Where contacts work, and as what: https://www.letsligo.com/en/docs/api/contacts
_OF_CONTACTS = ("company", "position")
_OWN = frozenset({"dueDate", "completed", "completedAt", "taskKind", "contact"})
_FORMS = {
    "title": a_text("title"),
    "type": a_text("type"),
    "dueDate": a_date("due"),
    "completed": a_flag("done"),
    "completedAt": a_date("completed_at"),
    "taskKind": a_text("fields"),
    "payload": an_object("fields"),
    "description": a_text("description"),
    "contact": Form(lambda value: not value or _contact(value) is not None, ("customer",)),
}


class LetsLigoReader(TaskReader):
    """Parses the tasks of one LetsLigo account.

    The fields in `payload`, which depend on the kind of task, become fields of the task.
    """

    revision: ClassVar[int] = 2

    account: LetsLigoAccount

    @property
    def refetches(self) -> bool:
        return self.account.lean_lists

    def items(self, payload: Any) -> list[Raw] | None:
        rows = rows_of(payload)
        return rows_of(hydra(mapping(payload), "member")) if rows is None else rows

    def trim(self, raw: Raw) -> Raw:
        # API Platform leaves out what is null, or does not: the same to us.
        kept = {name: raw[name] for name in _FULL if raw.get(name) is not None}
        said = raw.get("contact") or None
        return {"id": self.identify(raw), **kept, "contact": _contact(said) or said}

    def list_view(self, raw: Raw) -> Raw:
        shown = {name: raw[name] for name in ("id", *self._shown) if name in raw}
        contact = mapping(raw.get("contact"))
        # If it could not be read, the task counts as changed: the next scan tries again.
        return {**shown, "contact": contact if "unread" in contact else contact.get("id")}

    @cached_property
    def _shown(self) -> tuple[str, ...]:
        return _LEAN if self.account.lean_lists else _FULL

    def identify(self, raw: Raw) -> str | None:
        return _first_id(raw, TASKS)

    def is_task(self, raw: Raw) -> bool:
        # It has a `payload` of its own, which an envelope has too.
        return bool(raw.keys() & _OWN) or _id(raw.get("@id"), TASKS) is not None

    def is_whole(self, raw: Raw) -> bool:
        # As LetsLigo itself shows a task, the contact's name would be missing.
        return raw.keys() >= set(_FULL) and isinstance(raw.get("contact"), dict)

    @property
    def forms(self) -> Mapping[str, Form]:
        return _FORMS

    def parse(self, raw: Raw) -> Task:
        said, kind = raw.get("completed"), text(raw.get("taskKind"))
        own = {} if kind is None else {"task_kind": kind}
        due = self.dates.read(raw, "dueDate", "due")
        completed = self.dates.read(raw, "completedAt", "completed_at")
        done = completed.at is not None if said is None else flag(said) is True
        completed = completed if done else ParsedDate()
        return Task(
            id=required(self.identify(raw), "id"),
            account=self.account.name,
            system=self.account.system,
            title=text(raw.get("title")) or "",
            description=prose(raw.get("description")),
            type=text(raw.get("type")),
            done=done,
            due=due.at,
            due_is_day=due.is_day,
            completed_at=completed.at,
            completed_at_is_day=completed.is_day,
            customer=_customer(raw.get("contact")),
            fields={**flattened(mapping(raw.get("payload"))), **own},
            revision=self.revision,
        )


def hydra(answer: Mapping[str, Any], name: str) -> Any:
    """A property of Hydra's; API Platform 4 has dropped the prefix that earlier versions write."""
    return answer.get(f"hydra:{name}", answer.get(name))


def _id(value: Any, collection: str) -> str | None:
    """The id in an IRI of that collection; None for one of another. A plain id is unchanged."""
    if isinstance(value, str):
        value = value.rpartition(f"{collection}/")[2].rstrip("/")
        if "/" in value:
            return None
    return identifier(value)


def _first_id(raw: Mapping[str, Any], collection: str) -> str | None:
    """The first of an object's ids that is in that collection: its IRI may be in none."""
    found = (_id(raw.get(name), collection) for name in ("@id", "id", "uuid"))
    return next((one for one in found if one is not None), None)


def _contact(value: Any) -> Raw | None:
    """The stored details of a contact, given by its IRI or as an object."""
    raw = mapping(value)
    number = _first_id(raw, CONTACTS) if raw else _id(value, CONTACTS)
    return None if number is None else {**kept_of_contact(raw), "id": number}


def kept_of_contact(contact: Mapping[str, Any]) -> Raw:
    """The stored part of a contact, whose notes are left out."""
    known = ("name", "emails", "phones", *_OF_CONTACTS)
    return {name: contact[name] for name in known if contact.get(name)}


def _customer(value: Any) -> Customer | None:
    contact = _contact(value)
    if contact is None:
        return None
    return Customer(
        id=contact["id"],
        name=text(contact.get("name")),
        email=_first(contact.get("emails")),
        phone=_first(contact.get("phones")),
        fields={name: one for name in _OF_CONTACTS if (one := text(contact.get(name))) is not None},
    )


def _first(values: Any) -> str | None:
    found = members(values)
    return next((one for value in found if (one := text(value)) is not None), None)
