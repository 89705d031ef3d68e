"""Kickserv: field service; a window of dates is polled, and customers are told through it.

Sources: the page on /tasks.json in the user's hands (it names no product), and other public
notes on the same API. The field names of a task stand nowhere: what was inferred is an option
of `KickservAccount`. A list from one day to another leaves out what has no date, so that the whole
account is read as well, less often.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from itertools import count
from typing import Any, ClassVar
from urllib.parse import quote

from service.domain.flags import flag
from service.domain.model import DAYS, Customer, Person, Project, Task
from service.domain.written_dates import is_date
from service.errors import OutcomeUnknown, SourceRejected
from service.http.upstream import Upstream
from service.sources import Page, Source
from service.sources.account import Account
from service.sources.dates import When
from service.sources.facts import Facts, Words, inside
from service.sources.forms import Form, a_date, a_text, left_open
from service.sources.kickserv_words import KickservAccount
from service.sources.misnamed import Doubt, Seen, vouched
from service.sources.pagination import GONE, Reading, rows_of, single
from service.sources.reader import Raw
from service.sources.task_fields import translated
from service.sources.values import (
    first_id,
    first_reference,
    identifier,
    local,
    mapping,
    only,
    prose,
    references,
    required,
    scalar,
    text,
)
from service.store.lookups import Coverage

NO_SUCH_TASK = "invalid job"
_WRITTEN = (
    "title",
    "description",
    "start",
    "end",
    "due",
    "project",
    "customer",
    "assignee",
    "type",
)
_NOBODY = Customer()
_MANY = 100  # tasks, of which one would have it


class Kickserv(Source):
    """One Kickserv account."""

    options: ClassVar[type[Account]] = KickservAccount
    notifications: ClassVar[frozenset[str]] = frozenset({"employee", "details", "on_the_way"})
    writes: ClassVar[frozenset[str]] = frozenset(
        {"create_task", "update_task", "complete_task", "reopen_task", "delete_task"}
    )
    revision: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        fills=frozenset({"title", "description", "type", "done", "fields", "assignees", "contacts"})
        | {*DAYS, *DAYS.values(), "created_at", "updated_at"}
        | inside("assignee", "id", "name", "email", "number")
        | inside("customer", "id", "name", "email", "phone")
        | inside("project", "id", "name"),
        when_done=frozenset({"completed_at"}),
        words={"type": Words(frozenset(), numbers=True)},
        remedies={
            "type": 'give the account task_types: { "1": job }',
            "customer.opted_out": "give the account opted_out_field: and the name of the field",
        },
        sets=frozenset(_WRITTEN),
        needs={"title": "name", "project": "job_id", "type": "task_type_id"},
    )

    account: KickservAccount

    def __init__(self, account: KickservAccount, upstream: Upstream) -> None:
        super().__init__(account, upstream)
        names = account.fields
        self._names = names
        # Without its people a task would look reassigned, until the next poll.
        relations = (names.project, names.customer, names.assignees)
        self._needed = {"id", names.title, names.start, account.done_field, *relations}
        # What stays as it was where a task comes without one of its fields, as it may.
        self._tells = {
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

    @classmethod
    def facts_for(cls, options: Mapping[str, Any]) -> Facts:
        found = super().facts_for(options)
        if types := mapping(options.get("task_types")):
            words = frozenset(map(str, types.values()))
            found = found.and_knows(type=Words(words, numbers=True))
        if mapping(options.get("fields")).get("done"):
            found = replace(found, when_done=frozenset())  # it may be a mere flag
        return found.and_fills("customer.opted_out") if options.get("opted_out_field") else found

    def items(self, payload: Any) -> list[Raw] | None:
        rows = rows_of(payload)
        return None if rows is None else [_unwrapped(row) for row in rows]

    def trim(self, raw: Raw) -> Raw:
        account, people = self.account, self._names.assignees
        kept = only(raw, account.kept)
        for glue, names in account.of_connected:
            if glue in raw:
                kept[glue] = only(first_reference(raw[glue]), names)
        if people in raw:
            kept[people] = [only(one, account.of_people) for one in references(raw[people])]
        return kept

    def identify(self, raw: Raw) -> str | None:
        return first_id(raw, "id", "uuid")

    def is_whole(self, raw: Raw) -> bool:
        return raw.keys() >= self._needed

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
            account.done_field: Form(_says_when_done, ("completed_at", "done")),
            **dict.fromkeys((names.customer, names.contact), self._consent),
        }

    @property
    def _consent(self) -> Form:
        """Whether a customer wants no messages; what cannot be read counts as yes."""
        name = self.account.opted_out_field or ""

        def said(value: Any) -> Any:
            return first_reference(value).get(name)

        return Form(lambda value: not name or flag(said(value)) is not None, (), said)

    def parse(self, raw: Raw) -> Task:
        account, names = self.account, self._names
        job = first_reference(raw.get(names.project))
        start = self.dates.read(raw, names.start, "start")
        end = self.dates.read(raw, names.end, "end")
        due, completed = (
            self._due(raw, start),
            self.dates.read(raw, account.done_field, "completed_at"),
        )
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
        left = set(left_open(raw, self._tells))
        job = raw.get(self._names.project)
        if job:
            left |= {
                f"fields.{word}"
                for word, name in self._of_job.items()
                if name not in first_reference(job)
            }
        reached = (
            first_reference(raw.get(name)) for name in (self._names.customer, self._names.contact)
        )
        flag_name = self.account.opted_out_field
        if flag_name and not any(flag_name in one for one in reached):
            left.add("customer.opted_out")
        return frozenset(left)

    def version(self, raw: Raw) -> datetime | None:
        return self.dates.moment(raw, self._names.updated_at)

    def scan(self) -> AsyncIterator[Page]:
        return self._listed({})

    def between(self) -> AsyncIterator[Page]:
        first, last = self._window()
        return self._listed({"from": f"{first}", "to": f"{last + timedelta(days=1)}"})

    def find_similar(self, fields: Mapping[str, Any], since: datetime) -> AsyncIterator[Page]:
        # A new task may lie outside of the window, or have no date at all.
        del since
        job = {**self.account.create, **self._body(fields)}.get("job_id")
        return self._pages({} if job is None else {"job_id": job})

    def covered(self, *, whole: bool) -> Coverage:
        if whole:
            return Coverage()
        # A day less at both ends: the window has moved if midnight passed since the reading.
        first, last = self._window()
        return Coverage(self._midnight(first + timedelta(1)), self._midnight(last))

    async def fetch(self, task_id: str) -> Raw | None:
        try:
            answer = await self._call("GET", _path(task_id))
        except SourceRejected as error:
            if _is_gone(error):
                return None
            raise
        return single(self, answer, task_id)

    async def notify(self, task_id: str, notification: str) -> None:
        if notification not in self.notifications:
            raise SourceRejected(f"kickserv: there is no notification {notification}")
        body = None if notification == "employee" else {"notification_type": notification}
        await self._call("POST", f"tasks/{quote(task_id, safe='')}/notify.json", body)

    async def create_task(self, fields: Mapping[str, Any]) -> Raw:
        body = {**self.account.create, **self._body(fields)}
        if body.get("job_id") is None and body.get("customer_id") is not None:
            body["job_id"] = await self._open_job(body["customer_id"])
        answer = await self._call("POST", "tasks.json", {"task": body})
        return single(self, answer, otherwise=OutcomeUnknown)

    async def update_task(self, task_id: str, fields: Mapping[str, Any]) -> Raw:
        return await self._put(task_id, self._body(fields))

    async def complete_task(self, task_id: str) -> Raw:
        name, known = self.account.done_field, await self.fetch(task_id)
        if known is not None and self.parse(known).done:
            return known
        if known is not None and isinstance(known.get(name), bool):
            return await self._put(task_id, {name: True})
        now = self.upstream.clock.now().astimezone(self._zone)
        day, second = now.date().isoformat(), now.isoformat(timespec="seconds")
        return await self._put(task_id, {name: day if name.endswith("_on") else second})

    async def reopen_task(self, task_id: str) -> Raw:
        name, known = self.account.done_field, await self.fetch(task_id)
        if known is not None and not self.parse(known).done:
            return known
        ticked = known is not None and isinstance(known.get(name), bool)
        return await self._put(task_id, {name: False if ticked else None})

    async def delete_task(self, task_id: str) -> Raw:
        try:
            answer = await self._call("DELETE", _path(task_id))
        except SourceRejected as error:
            if _is_gone(error):
                return {"id": task_id}
            raise
        return {"id": task_id} if answer is None else single(self, answer, task_id)

    async def _open_job(self, customer: Any) -> str:
        """The job that a new task for a customer belongs to; raises SourceRejected."""
        query = {"customer_id": customer}
        answer = await self._call("GET", "tasks/job_list.json", params=query)
        jobs = [mapping(job) for job in answer] if isinstance(answer, list) else []
        closed = {word.casefold() for word in self.account.closed_jobs}
        found = [
            number
            for job in jobs
            if (text(job.get("status")) or "").casefold() not in closed
            and (number := identifier(job.get("id"))) is not None
        ]
        if len(found) == 1:
            return found[0]
        many = f"{len(found)} open jobs" if found else "no open job"
        raise SourceRejected(
            f"{self.account.name}: a task needs a job, and customer {customer} has {many}; name it"
            " under project:"
        )

    def _listed(self, window: Mapping[str, str]) -> AsyncIterator[Page]:
        """The tasks that the account is to list, if their fields are called what it says."""
        account = self.account
        asked = {**account.filters, **window}
        return vouched(account.name, self._pages(asked), self._misnamed(is_whole=not window))

    def _misnamed(self, *, is_whole: bool) -> Doubt:
        """What is called otherwise, if of enough tasks none has it."""
        names = self._names
        dates = (names.start, names.end, *filter(None, [names.due]))

        def doubt(seen: Seen) -> str | None:
            if not seen.filled[names.title]:
                return _unnamed("has a title", names.title, "title", seen)
            if not any(seen.filled[name] for name in dates):
                return _unnamed("has a date", " or ".join(dates), "start", seen)
            return self._never_done(seen) if seen.is_over and is_whole else None

        return doubt

    def _never_done(self, seen: Seen) -> str | None:
        """Whether no task has the field of its completion; it takes more where a person named it.

        One that is there and empty is named right: nothing was ever done.
        """
        name, is_told = self.account.done_field, self.account.is_done_field_told
        if seen.named[name] or (is_told and seen.read < _MANY):
            return None
        return _unnamed("says that it is done", name, "done", seen)

    async def _pages(self, query: Mapping[str, str | int]) -> AsyncIterator[Page]:
        reading = Reading(self)
        for number in count(1):
            requested_at = self.upstream.clock.now()
            asked = {**query, "page": number, "per_page": self.account.per_page}
            rows = reading.rows(await self._call("GET", "tasks.json", params=asked))
            is_short = len(rows) != self.account.per_page
            if not rows or (reading.is_again(rows) and is_short):
                return
            yield Page(await reading.tasks(rows), requested_at, reading.nameless)

    async def _put(self, task_id: str, body: Raw) -> Raw:
        answer = await self._call("PUT", _path(task_id), {"task": body})
        return single(self, answer, task_id, otherwise=OutcomeUnknown)

    async def _call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        params: Mapping[str, str | int] | None = None,
    ) -> Any:
        """Whatever is not a GET has an effect; a notification reaches a real person."""
        path = f"/{quote(self.account.slug, safe='')}/{path}"
        effect = method != "GET"
        return await self.upstream.request(method, path, params=params, json=json, effect=effect)

    def _body(self, fields: Mapping[str, Any]) -> Raw:
        """What the rule language calls by its own words, in Kickserv's."""
        names = self._names
        body = translated("kickserv", fields, self.account.words)
        for name in filter(None, (names.start, names.end, names.due)):
            if body.get(name) is not None:
                body[name] = local(body[name], self._zone).isoformat(timespec="seconds")
        if body.get("employee_ids") is not None:
            body["employee_ids"] = [body["employee_ids"]]
        if names.type in body:
            body[names.type] = self._type_id(body[names.type])
        return body

    def _type(self, raw: Raw) -> str | None:
        number = identifier(raw.get(self._names.type))
        return None if number is None else self.account.task_types.get(number, number)

    def _type_id(self, word: str) -> str:
        types = self.account.task_types.items()
        return next((number for number, name in types if name == word), word)

    def _customer(self, raw: Raw) -> Customer | None:
        """The customer, reached where their own primary contact can be reached."""
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
            # A word that nobody knows must not bring a message to somebody who wants none.
            opted_out=bool(raw) and name is not None and flag(raw.get(name)) is not False,
        )

    def _people(self, value: Any) -> tuple[Person, ...]:
        found = (self._person(one) for one in references(value))
        return tuple(person for person in found if person != Person())

    def _person(self, raw: Mapping[str, Any]) -> Person:
        number = identifier(raw.get(self._names.number))
        return Person(identifier(raw.get("id")), _name(raw), self._email(raw), number=number)

    def _email(self, raw: Mapping[str, Any]) -> str | None:
        return text(raw.get(self._names.email)) or text(raw.get("email_address"))

    def _job_fields(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The job's number, which is not its id, and where the job stands."""
        fields = {word: scalar(job.get(name)) for word, name in self._of_job.items()}
        return {word: value for word, value in fields.items() if value is not None}

    @cached_property
    def _of_job(self) -> Mapping[str, str]:
        return {"job_number": self._names.job_number, "job_status": self._names.job_status}

    def _window(self) -> tuple[date, date]:
        """The first and the last local day that is polled."""
        today = self.upstream.clock.now().astimezone(self._zone).date()
        back, ahead = timedelta(self.account.days_back), timedelta(self.account.days_ahead)
        return today - back, today + ahead

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._zone)

    def _due(self, raw: Raw, start: When) -> When:
        """Its own date if there is one, else its end, else some time on the day of its start."""
        names = [name for name in (self._names.due, self._names.end) if name is not None]
        told = (self.dates.read(raw, name, "due") for name in names)
        return next((one for one in told if one.at is not None), self.dates.due_after(start))

    @property
    def _zone(self) -> tzinfo:
        return self.account.timezone or UTC


def _says_when_done(value: Any) -> bool:
    return is_date(value) or flag(value) is not None


def _path(task_id: str) -> str:
    return f"tasks/{quote(task_id, safe='')}.json"


def _is_gone(error: SourceRejected) -> bool:
    return error.status in GONE or NO_SUCH_TASK in error.answer.lower()


def _unwrapped(row: Any) -> Any:
    task = row.get("task") if isinstance(row, dict) else None
    return task if isinstance(task, dict) else row


def _name(raw: Mapping[str, Any]) -> str | None:
    parts = (text(raw.get("first_name")), text(raw.get("last_name")))
    return text(raw.get("name")) or " ".join(part for part in parts if part) or None


def _project(job: Mapping[str, Any]) -> Project | None:
    number = identifier(job.get("id"))
    return None if number is None else Project(id=number, name=text(job.get("name")))


def _unnamed(what: str, name: str, word: str, seen: Seen) -> str:
    return (
        f"none of {seen.read} tasks {what} under {name}; if your account calls it otherwise, say so"
        f" under fields: {{ {word}: … }}"
    )
