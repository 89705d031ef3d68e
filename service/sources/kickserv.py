"""Kickserv: field service; a window of dates is polled, and customers are told through it.

Sources: the page on /tasks.json in the user's hands (it names no product), and other public
notes on the same API. The field names of a task stand nowhere: what was inferred is an option
of `KickservAccount`.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from itertools import count
from typing import Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field

from service.errors import OutcomeUnknown, SourceRejected
from service.model import Customer, Person, Project, Task
from service.sources import Page, Raw, Source
from service.sources.account import Account
from service.sources.forms import Form, a_date, a_text
from service.sources.reading import GONE, Reading, rows_of, single
from service.sources.values import (
    identifier,
    local,
    mapping,
    members,
    moment,
    only,
    reference,
    required,
    scalar,
    text,
    truth,
)
from service.sources.words import translated

NO_SUCH_TASK = "invalid job"

# Everything else stays outside: a whole employee carries password_salt, encrypted_password and
# remember_token.
_TASK = (
    "id",
    "name",
    "description",
    "scheduled_at",
    "ends_at",
    "created_at",
    "updated_at",
    "task_type_id",
)
_PERSON = ("id", "name", "first_name", "last_name", "email", "email_address")
_KEPT = {
    "job": ("id", "job_number", "name", "status"),
    "customer": (*_PERSON, "phone", "phone_number"),
    "contact": (*_PERSON, "phone", "phone_number"),
}
# What stays as it was where a task comes without one of its relations, as it may at any time.
_TELLS = {
    "job": ("project", "fields"),
    "customer": ("customer",),
    "employees": ("assignee", "assignees"),
}
_WHOLE = frozenset({"id", "name", "scheduled_at", "job", "customer", "employees"})
_WORDS = {
    "title": "name",
    "description": "description",
    "start": "scheduled_at",
    "end": "ends_at",
    "due": "ends_at",
    "project": "job_id",
    "customer": "customer_id",
    "assignee": "employee_ids",
    "type": "task_type_id",
}


class KickservAccount(Account):
    """An employee's view of a Kickserv account; `token` is that employee's.

    `slug` is the name of the account in the addresses of its pages. `per_page` is how many tasks
    are asked for at once. `days_back` and `days_ahead` bound the window that is polled, in local
    days of `timezone` (UTC if there is none). `completed_field` holds a date or a time once a task
    is done. `task_types` gives task_type_id a word. `opted_out_field` is a truth value of the
    customer. `create` holds what every new task gets.
    """

    tenant_options: ClassVar[tuple[str, ...]] = ("slug",)

    slug: str
    per_page: int = Field(default=100, ge=1)
    days_back: int = Field(default=30, ge=0)
    days_ahead: int = Field(default=60, ge=0)
    completed_field: Literal["completed_on", "completed_at"] = "completed_on"
    opted_out_field: str | None = None
    task_types: Mapping[str, str] = Field(default_factory=dict)
    create: Mapping[str, Any] = Field(default_factory=dict)

    def headers(self) -> Mapping[str, str]:
        token = self.token.get_secret_value()
        basic = b64encode(f"{token}:{token}".encode()).decode()
        return {"Authorization": f"Basic {basic}", "Accept": "application/json"}


class Kickserv(Source):
    """One Kickserv account."""

    options: ClassVar[type[Account]] = KickservAccount
    notifications: ClassVar[frozenset[str]] = frozenset({"employee", "details", "on_the_way"})
    writes: ClassVar[frozenset[str]] = frozenset({"create_task", "update_task", "complete_task"})

    account: KickservAccount

    def items(self, payload: Any) -> list[Raw] | None:
        rows = rows_of(payload)
        return None if rows is None else [_unwrapped(row) for row in rows]

    def trim(self, raw: Raw) -> Raw:
        kept = only(raw, (*_TASK, self.account.completed_field))
        for glue, names in _KEPT.items():
            if glue in raw:
                kept[glue] = only(reference(raw[glue]), (*names, self.account.opted_out_field))
        if "employees" in raw:
            kept["employees"] = [only(reference(one), _PERSON) for one in members(raw["employees"])]
        return kept

    def identify(self, raw: Raw) -> str | None:
        return identifier(raw.get("id", raw.get("uuid")))

    def is_whole(self, raw: Raw) -> bool:
        # Without its people a task would look reassigned, until the next poll.
        return raw.keys() >= _WHOLE and self.account.completed_field in raw

    @cached_property
    def forms(self) -> Mapping[str, Form]:
        return {
            "name": a_text("title"),
            "description": a_text("description"),
            "scheduled_at": a_date("start", "due"),
            "ends_at": a_date("end", "due"),
            "created_at": a_date("created_at"),
            "updated_at": a_date("updated_at"),
            self.account.completed_field: a_date("completed_at", "done"),
        }

    def parse(self, raw: Raw) -> Task:
        account, job = self.account, reference(raw.get("job"))
        start, end = self._date(raw, "scheduled_at"), self._date(raw, "ends_at")
        completed_at = self._date(raw, account.completed_field)
        employees = _people(raw.get("employees"))
        return Task(
            id=required(self.identify(raw), "id"),
            account=account.name,
            system=account.system,
            title=text(raw.get("name")) or "",
            description=text(raw.get("description")),
            type=self._type(raw),
            done=completed_at is not None,
            due=end or start,
            start=start,
            end=end,
            created_at=self._date(raw, "created_at"),
            updated_at=self._date(raw, "updated_at"),
            completed_at=completed_at,
            assignee=employees[0] if employees else None,
            assignees=employees,
            customer=self._customer(raw),
            project=_project(job),
            fields=_job_fields(job),
        )

    def untold(self, raw: Raw) -> frozenset[str]:
        # That a relation is missing does not mean that there is none: that is null or empty.
        return frozenset(name for glue in _TELLS.keys() - raw.keys() for name in _TELLS[glue])

    def version(self, raw: Raw) -> datetime | None:
        return self._date(raw, "updated_at")

    def scan(self) -> AsyncIterator[Page]:
        first, last = self._window()
        return self._pages({"from": f"{first}", "to": f"{last + timedelta(days=1)}"})

    def alike(self, fields: Mapping[str, Any], since: datetime) -> AsyncIterator[Page]:
        # A new task belongs to a job, and may lie outside of the window or have no date at all.
        job = {**self.account.create, **self._body(fields)}.get("job_id")
        return super().alike(fields, since) if job is None else self._pages({"job_id": job})

    def listed_starts(self) -> tuple[datetime, datetime]:
        # A day less at both ends: the window has moved if midnight passed since the scan.
        first, last = self._window()
        return self._midnight(first + timedelta(1)), self._midnight(last)

    async def fetch(self, task_id: str) -> Raw | None:
        try:
            answer = await self._call("GET", _path(task_id))
        except SourceRejected as error:
            if error.status in GONE or NO_SUCH_TASK in error.answer.lower():
                return None
            raise
        return single(self, answer, task_id)

    async def notify(self, task_id: str, notification: str) -> None:
        if notification not in self.notifications:
            raise SourceRejected(f"kickserv: there is no notification {notification}")
        body = None if notification == "employee" else {"notification_type": notification}
        await self._call("POST", f"tasks/{quote(task_id, safe='')}/notify.json", body)

    async def create_task(self, fields: Mapping[str, Any]) -> Raw:
        body = {"task": {**self.account.create, **self._body(fields)}}
        answer = await self._call("POST", "tasks.json", body)
        return single(self, answer, otherwise=OutcomeUnknown)

    async def update_task(self, task_id: str, fields: Mapping[str, Any]) -> Raw:
        return await self._put(task_id, self._body(fields))

    async def complete_task(self, task_id: str) -> Raw:
        name, known = self.account.completed_field, await self.fetch(task_id)
        if known is not None and known.get(name):
            return known
        now = self.upstream.clock.now().astimezone(self._zone)
        day, second = now.date().isoformat(), now.isoformat(timespec="seconds")
        return await self._put(task_id, {name: day if name.endswith("_on") else second})

    async def _pages(self, query: Mapping[str, str | int]) -> AsyncIterator[Page]:
        reading, only_page = Reading(self), None
        for number in count(1):
            requested_at = self.upstream.clock.now()
            asked = {**query, "page": number, "per_page": self.account.per_page}
            rows = reading.rows(await self._call("GET", "tasks.json", params=asked))
            # A second page like the first, and not as long as asked: the system takes no notice
            # of `page`, and that was all.
            if not rows or (rows == only_page and len(rows) != self.account.per_page):
                return
            fresh = reading.fresh(rows)
            raws = {key: self.trim(row) for key, row in fresh.items()}
            yield Page(raws, requested_at, reading.nameless)
            only_page = rows if number == 1 else None

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
        body = translated("kickserv", fields, _WORDS)
        for name in ("scheduled_at", "ends_at"):
            if body.get(name) is not None:
                body[name] = local(body[name], self._zone).isoformat(timespec="seconds")
        if body.get("employee_ids") is not None:
            body["employee_ids"] = [body["employee_ids"]]
        if "task_type_id" in body:
            body["task_type_id"] = self._type_id(body["task_type_id"])
        return body

    def _type(self, raw: Raw) -> str | None:
        number = identifier(raw.get("task_type_id"))
        return None if number is None else self.account.task_types.get(number, number)

    def _type_id(self, word: str) -> str:
        types = self.account.task_types.items()
        return next((number for number, name in types if name == word), word)

    def _customer(self, raw: Raw) -> Customer | None:
        """The customer, reached where their own primary contact can be reached."""
        customer, contact = reference(raw.get("customer")), mapping(raw.get("contact"))
        number = identifier(customer.get("id"))
        if number is None:
            return None
        flag = self.account.opted_out_field
        return Customer(
            id=number,
            name=_name(customer) or _name(contact),
            email=_email(contact) or _email(customer),
            phone=_phone(contact) or _phone(customer),
            opted_out=flag is not None and truth(customer.get(flag)),
        )

    def _window(self) -> tuple[date, date]:
        """The first and the last local day that is polled."""
        today = self.upstream.clock.now().astimezone(self._zone).date()
        back, ahead = timedelta(self.account.days_back), timedelta(self.account.days_ahead)
        return today - back, today + ahead

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._zone)

    def _date(self, raw: Raw, name: str) -> datetime | None:
        return moment(raw, name, self._zone)

    @property
    def _zone(self) -> tzinfo:
        return self.account.timezone or UTC


def _path(task_id: str) -> str:
    return f"tasks/{quote(task_id, safe='')}.json"


def _unwrapped(row: Any) -> Any:
    task = row.get("task") if isinstance(row, dict) else None
    return task if isinstance(task, dict) else row


def _people(value: Any) -> tuple[Person, ...]:
    people = (reference(one) for one in members(value))
    return tuple(
        Person(id=number, name=_name(person), email=_email(person))
        for person in people
        if (number := identifier(person.get("id"))) is not None
    )


def _name(raw: Mapping[str, Any]) -> str | None:
    parts = (text(raw.get("first_name")), text(raw.get("last_name")))
    return text(raw.get("name")) or " ".join(part for part in parts if part) or None


def _email(raw: Mapping[str, Any]) -> str | None:
    return text(raw.get("email")) or text(raw.get("email_address"))


def _phone(raw: Mapping[str, Any]) -> str | None:
    return text(raw.get("phone")) or text(raw.get("phone_number"))


def _project(job: Mapping[str, Any]) -> Project | None:
    number = identifier(job.get("id"))
    return None if number is None else Project(id=number, name=text(job.get("name")))


def _job_fields(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job's number, which is not its id, and where the job stands."""
    fields = {"job_number": scalar(job.get("job_number")), "job_status": scalar(job.get("status"))}
    return {name: value for name, value in fields.items() if value is not None}
