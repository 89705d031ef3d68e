"""Parses Kickserv's JSON, with the field names of the account."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from service.domain.flags import flag
from service.domain.model import Customer, Person, Project, Task
from service.domain.written_dates import is_date
from service.sources.dates import ParsedDate
from service.sources.forms import Form, a_date, a_text, are_labels, left_open, parts, people
from service.sources.kickserv.account import FieldNames, KickservAccount
from service.sources.pagination import rows_of
from service.sources.reader import Raw, TaskReader
from service.sources.values import (
    described,
    first_id,
    first_reference,
    identifier,
    labels,
    only,
    prose,
    references,
    required,
    scalar,
    several,
    text,
)

_NOBODY = Customer()
_UNREAD = {"unread": True}


class KickservReader(TaskReader):
    """Reads the tasks of one Kickserv account."""

    revision: ClassVar[int] = 2

    account: KickservAccount

    def items(self, payload: Any) -> list[Raw] | None:
        rows = rows_of(payload)
        return None if rows is None else [_unwrapped(row) for row in rows]

    def trim(self, raw: Raw) -> Raw:
        account, employees = self.account, self._names.assignees
        kept = only(raw, account.kept)
        for glue, names in account.of_connected:
            if glue in raw:
                one = described(first_reference(raw[glue]), names) if raw[glue] else {}
                kept[glue] = one if glue == self._names.project else self._tidied(one)
        if employees in raw:
            found = references(raw[employees])
            kept[employees] = [described(one, account.of_people) for one in found]
        return kept

    def identify(self, raw: Raw) -> str | None:
        return first_id(raw, "id", "uuid")

    def is_whole(self, raw: Raw) -> bool:
        return raw.keys() >= self._needed

    @cached_property
    def _needed(self) -> frozenset[str]:
        names = self._names
        # Without its people a task would look reassigned, until the next poll.
        relations = (names.project, names.customer, names.assignees)
        return frozenset({"id", names.title, names.start, self.account.done_field, *relations})

    @cached_property
    def forms(self) -> Mapping[str, Form]:
        names, account = self._names, self.account
        due = {} if names.due is None else {names.due: a_date("due")}
        return {
            names.title: a_text("title"),
            names.description: a_text("description"),
            names.start: a_date("start", "due"),
            names.end: a_date("end", "due"),
            **due,
            names.created_at: a_date("created_at"),
            names.updated_at: a_date("updated_at"),
            account.done_field: Form(_is_date_or_flag, ("completed_at", "done")),
            names.assignees: people("id", account.of_people, "assignee", "assignees"),
            **self._connected(names.customer, "customer", "contacts"),
            **self._connected(names.contact, "contacts"),
        }

    def _connected(self, glue: str, *fills: str) -> Mapping[str, Form]:
        """A customer, and their own parts, which fill nothing: `unknown_fields` says which."""
        known = people("id", dict(self.account.of_connected)[glue], *fills)
        return {glue: known, **parts(glue, self._parts_of_customers)}

    @cached_property
    def _parts_of_customers(self) -> Mapping[str, Callable[[Any], bool]]:
        """What a customer's own values must be, by their names in the account."""
        flagged = self.account.opted_out_field
        return {
            self._names.customer_tags: are_labels,
            **dict.fromkeys(self.account.customer_fields.values(), _is_own_value),
            **({} if flagged is None else {flagged: lambda value: flag(value) is not None}),
        }

    def _tidied(self, one: Raw) -> Raw:
        """A customer with the names of their tags, and the plain values of their own fields.

        An object inside of them may hold more than was asked for: it is left out.
        """
        own = dict.fromkeys(self.account.customer_fields.values(), several)
        read: Mapping[str, Callable[[Any], Any]] = {**own, self._names.customer_tags: labels}
        found = {name: read[name](one[name]) for name in read if name in one}
        return {
            **one,
            **{
                name: _UNREAD if value is None and one[name] is not None else value
                for name, value in found.items()
            },
        }

    def parse(self, raw: Raw) -> Task:
        account, names = self.account, self._names
        job = first_reference(raw.get(names.project))
        start = self.dates.read(raw, names.start, "start")
        end = self.dates.read(raw, names.end, "end")
        due = self._due(raw, start)
        completed = self.dates.read(raw, account.done_field, "completed_at")
        employees = self._people(raw.get(names.assignees))
        return Task(
            id=required(self.identify(raw), "id"),
            account=account.name,
            system=account.system,
            title=text(raw.get(names.title)) or "",
            description=prose(raw.get(names.description)),
            type=self._type(raw),
            done=completed.at is not None or flag(raw.get(account.done_field)) is True,
            due=due.at,
            due_is_day=due.is_day,
            start=start.at,
            start_is_day=start.is_day,
            end=end.at,
            end_is_day=end.is_day,
            created_at=self.dates.moment(raw, names.created_at),
            updated_at=self.version(raw),
            completed_at=completed.at,
            completed_at_is_day=completed.is_day,
            assignee=employees[0] if employees else None,
            assignees=employees,
            customer=self._customer(raw),
            contacts=self._contacts(raw),
            project=_project(job),
            fields=self._job_fields(job),
            revision=self.revision,
        )

    def unknown_fields(self, raw: Raw) -> frozenset[str]:
        # That something is missing does not mean that there is none: that is null or empty.
        left = left_open(raw, self._fills) | self._unreported_of_job(raw)
        return left | self._unreported_of_customer(raw)

    @cached_property
    def _fills(self) -> Mapping[str, tuple[str, ...]]:
        """Task fields that are kept when their JSON field is missing, as it may be."""
        names = self._names
        return {
            names.title: ("title",),
            names.description: ("description",),
            names.type: ("type",),
            names.start: ("start",),
            names.end: ("end", "due"),
            names.contact: ("contacts",),
            names.project: ("project", "fields"),
            names.customer: ("customer", "contacts"),
            names.assignees: ("assignee", "assignees"),
        }

    def _unreported_of_job(self, raw: Raw) -> frozenset[str]:
        job = raw.get(self._names.project)
        told = first_reference(job)
        untold = (word for word, name in self._of_job.items() if name not in told)
        return frozenset(f"fields.{word}" for word in untold) if job else frozenset()

    def _unreported_of_customer(self, raw: Raw) -> frozenset[str]:
        """The parts of a customer that are left out, or cannot be read."""
        names, flagged = self._names, self.account.opted_out_field
        both = [first_reference(raw.get(glue)) for glue in (names.customer, names.contact)]
        left = set[str]() if not (told := both[0] or both[1]) else self._own_left_out(told)
        if flagged and not any(flagged in one for one in both):
            left.add("customer.opted_out")
        return frozenset(left)

    def _own_left_out(self, customer: Mapping[str, Any]) -> set[str]:
        """The values of the account's own that this customer lacks, or that cannot be read."""
        tags = are_labels(customer.get(self._names.customer_tags, _UNREAD))
        own = self.account.customer_fields.values()
        fields = all(_is_own_value(customer.get(name, _UNREAD)) for name in own)
        known = {"customer.tags": tags, "customer.fields": fields}
        return {name for name, is_told in known.items() if not is_told}

    def version(self, raw: Raw) -> datetime | None:
        return self.dates.moment(raw, self._names.updated_at)

    @property
    def _names(self) -> FieldNames:
        return self.account.fields

    def _type(self, raw: Raw) -> str | None:
        number = identifier(raw.get(self._names.type))
        return None if number is None else self.account.task_types.get(number, number)

    def _customer(self, raw: Raw) -> Customer | None:
        """The customer, with the addresses of their own primary contact, if there is one."""
        customer, contact = self._reached(raw)
        if customer is None or contact is None:
            return customer
        return replace(
            customer,
            name=customer.name or contact.name,
            email=contact.email or customer.email,
            phone=contact.phone or customer.phone,
            opted_out=customer.opted_out or contact.opted_out,
        )

    def _contacts(self, raw: Raw) -> tuple[Customer, ...]:
        """The customer and their primary contact, each with addresses of their own."""
        return tuple(one for one in self._reached(raw) if one is not None)

    def _reached(self, raw: Raw) -> tuple[Customer | None, Customer | None]:
        found = (
            self._somebody(first_reference(raw.get(name)))
            for name in (self._names.customer, self._names.contact)
        )
        customer, contact = (None if one == _NOBODY else one for one in found)
        # Where there is no customer, the message goes to the contact.
        return (contact, None) if customer is None else (customer, contact)

    def _somebody(self, raw: Mapping[str, Any]) -> Customer:
        name = self.account.opted_out_field
        return Customer(
            id=identifier(raw.get("id")),
            name=_name(raw),
            email=self._email(raw),
            phone=text(raw.get(self._names.phone)) or text(raw.get("phone_number")),
            # An unknown value must not cause a message to a customer who has opted out.
            opted_out=bool(raw) and name is not None and flag(raw.get(name)) is not False,
            tags=tuple(labels(raw.get(self._names.customer_tags)) or ()),
            fields=self._own_fields(raw),
        )

    def _own_fields(self, customer: Mapping[str, Any]) -> dict[str, Any]:
        own = self.account.customer_fields.items()
        found = {word: several(customer.get(name)) for word, name in own}
        return {word: value for word, value in found.items() if value not in (None, [])}

    def _people(self, value: Any) -> tuple[Person, ...]:
        found = (self._person(one) for one in references(value))
        return tuple(person for person in found if person != Person())

    def _person(self, raw: Mapping[str, Any]) -> Person:
        number = identifier(raw.get(self._names.number))
        return Person(identifier(raw.get("id")), _name(raw), self._email(raw), number=number)

    def _email(self, raw: Mapping[str, Any]) -> str | None:
        return text(raw.get(self._names.email)) or text(raw.get("email_address"))

    def _job_fields(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The job's number, which is not its id, and its status."""
        fields = {word: scalar(job.get(name)) for word, name in self._of_job.items()}
        return {word: value for word, value in fields.items() if value is not None}

    @cached_property
    def _of_job(self) -> Mapping[str, str]:
        return {"job_number": self._names.job_number, "job_status": self._names.job_status}

    def _due(self, raw: Raw, start: ParsedDate) -> ParsedDate:
        """Its own date if there is one, else its end, else some time on the day of its start."""
        names = [name for name in (self._names.due, self._names.end) if name is not None]
        told = (self.dates.read(raw, name, "due") for name in names)
        return next((one for one in told if one.at is not None), self.dates.due_after(start))


def _is_own_value(value: Any) -> bool:
    return value is None or several(value) is not None


def _is_date_or_flag(value: Any) -> bool:
    return is_date(value) or flag(value) is not None


def _unwrapped(row: Any) -> Any:
    task = row.get("task") if isinstance(row, dict) else None
    return task if isinstance(task, dict) else row


def _name(raw: Mapping[str, Any]) -> str | None:
    parts = (text(raw.get("first_name")), text(raw.get("last_name")))
    return text(raw.get("name")) or " ".join(part for part in parts if part) or None


def _project(job: Mapping[str, Any]) -> Project | None:
    number = identifier(job.get("id"))
    return None if number is None else Project(id=number, name=text(job.get("name")))
