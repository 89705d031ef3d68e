"""Plannr: an advisers' CRM with signed webhooks and a list that can be sorted by change.

Sources: the vendor's page for GET /api/v1/task, and its public pages for the writes and for
webhook subscriptions. What the vendor leaves open is an option of `PlannrAccount`.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import count
from typing import Any, ClassVar, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr

from service.domain.flags import flag
from service.domain.model import Customer, Person, Project, Task
from service.domain.written_dates import is_date
from service.errors import OutcomeUnknown, SourceRejected
from service.http.upstream import Upstream
from service.sources import Page, Source
from service.sources.account import Account, HeaderText
from service.sources.dates import Dates
from service.sources.facts import Facts, Words, inside
from service.sources.forms import Form, a_date, a_text, left_open, objects
from service.sources.pagination import Reading, by_id, enveloped, single
from service.sources.reader import Raw
from service.sources.task_fields import translated
from service.sources.values import (
    first_id,
    identifier,
    local,
    mapping,
    members,
    prose,
    reference,
    references,
    required,
    several,
    tally,
    text,
)

TASKS = "/api/v1/task"
HOOKS = "/api/v2/webhook-subscriptions"
EVENTS = ("task.created", "task.updated", "task.deleted", "task.completed")
RECENT_PER_PAGE = 50


def _done_flag(status: Any) -> Any:
    """What a status says of whether the task is done, or all of what is no status."""
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
}
# What a field that is missing leaves open; where there is none, it is there and null.
_TELLS = {
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
_LONGEST_AMOUNT = 15  # digits
_WORTH = ("value", "value_currency", "value_formatted")
_FIELDS_OF_WORTH = frozenset(f"fields.{name}" for name in _WORTH)
_PRIORITIES = {
    "low": "low",
    "medium": "normal",
    "normal": "normal",
    "high": "high",
    "highest": "highest",
}
_WORDS = {
    "title": "name",
    "description": "description",
    "priority": "priority",
    "due": "due_at",
    "assignee": "assigned_to_uuids",
    "type": "taskable_type",
    "project": "taskable_uuid",
    "status": "task_status_uuid",
}


class PlannrAccount(Account):
    """A login of a Plannr firm.

    `account_uuid` is `account.uuid` of GET /api/v1/logins. Dates without an offset are local
    time in `timezone`; `fold` picks the first (0) or second (1) of an hour that comes twice.
    Plannr writes midnight for a day without a time. `subtasks` and `filters` say which
    tasks are listed, `include` what is asked for beside them. `per_page` is how many tasks are
    asked for at once. `create` is what every new task gets,
    `reopen_status` the uuid of the status of a task that is reopened.
    """

    tenant_options: ClassVar[tuple[str, ...]] = ("account_uuid",)

    account_uuid: HeaderText
    timezone: ZoneInfo | None = ZoneInfo("Europe/London")
    fold: Literal[0, 1] = 0
    midnight_is_day: bool = True
    per_minute: int = Field(default=450, ge=1)
    per_page: int = Field(default=500, ge=1, le=500)
    include: tuple[str, ...] = ("custom_fields",)
    subtasks: Literal["include", "exclude", "only"] = "include"
    filters: Mapping[str, str] = Field(default_factory=dict)
    create: Mapping[str, Any] = Field(default_factory=dict)
    reopen_status: str | None = None

    def headers(self) -> Mapping[str, str]:
        return {**super().headers(), "X-PLANNR-ACCOUNT-UUID": self.account_uuid}


class Plannr(Source):
    """One Plannr account."""

    options: ClassVar[type[Account]] = PlannrAccount
    writes: ClassVar[frozenset[str]] = frozenset(
        {"create_task", "update_task", "complete_task", "reopen_task"}
    )
    needed_options: ClassVar[Mapping[str, str]] = {"reopen_task": "reopen_status"}
    revision: ClassVar[int] = 2
    facts: ClassVar[Facts] = Facts(
        fills=frozenset({"title", "description", "type", "status", "priority", "fields"})
        | {"done", "archived", "not_started", "assignees"}
        | {"due", "due_is_day", "created_at", "updated_at", "completed_at", "completed_at_is_day"}
        | inside("assignee", "id", "name", "email")
        | inside("completed_by", "id", "name", "email")
        | inside("author", "id", "name", "email")
        | inside("customer", "id", "name", "email", "phone")
        | inside("project", "id", "name"),
        words={"priority": Words(frozenset(_PRIORITIES.values()))},
        sets=frozenset(_WORDS),
        needs={"title": "name"},
    )

    account: PlannrAccount

    def __init__(self, account: PlannrAccount, upstream: Upstream) -> None:
        super().__init__(account, upstream)
        self._zone = account.timezone or ZoneInfo("UTC")
        # What a list has and a webhook lacks would look like a change, back and forth.
        self._needed = _ALWAYS | ({"custom_fields"} & set(account.include))

    @cached_property
    def dates(self) -> Dates:
        return replace(super().dates, fold=self.account.fold)

    def items(self, payload: Any) -> list[Raw] | None:
        return enveloped(payload)

    def identify(self, raw: Raw) -> str | None:
        return first_id(raw, "uuid", "id")

    def is_whole(self, raw: Raw) -> bool:
        return self._needed <= raw.keys() and "is_type_completed" in mapping(raw["status"])

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
        found = left_open(raw, _TELLS) if is_told else left_open(raw, _TELLS) | {"done"}
        if "value" in mapping(raw.get("taskable")):
            return found
        return found | _FIELDS_OF_WORTH if found else _FIELDS_OF_WORTH

    def parse(self, raw: Raw) -> Task:
        account = self.account
        status = mapping(raw.get("status"))
        due, completed = (
            self.dates.read(raw, "due_at", "due"),
            self.dates.read(raw, "completed_at", "completed_at"),
        )
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
            priority=_PRIORITIES.get((text(raw.get("priority")) or "").casefold()),
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
            customer=_customer(taskable) if kind == "client" else None,
            project=_project(taskable) if kind != "client" else None,
            fields={**_worth(taskable), **_custom_fields(raw.get("custom_fields"))},
            revision=self.revision,
        )

    def version(self, raw: Raw) -> datetime | None:
        return self.dates.moment(raw, "updated_at")

    def scan(self) -> AsyncIterator[Page]:
        # By creation: a task that is changed or made while pages are read moves no other task.
        return self._pages({"sort": "created_at", "per_page": self.account.per_page})

    def by_change(self) -> AsyncIterator[Page]:
        return self._pages({"sort": "-updated_at", "per_page": RECENT_PER_PAGE})

    async def fetch(self, task_id: str) -> Raw | None:
        return await by_id(self, task_id, _path(task_id), self._wanted())

    async def webhook_urls(self) -> list[str] | None:
        return [url for url, _ in await self._subscriptions()]

    async def subscribe(self, url: str) -> SecretStr:
        uuid = dict(await self._subscriptions()).get(url)
        method, path = ("POST", HOOKS) if uuid is None else ("PUT", f"{HOOKS}/{quote(uuid, '')}")
        answer = await self.upstream.request(
            method, path, json={"url": url, "events": list(EVENTS)}, effect=True
        )
        secret = text(mapping(mapping(answer).get("data", answer)).get("signing_secret"))
        if secret is None:
            raise OutcomeUnknown(f"{self.account.name}: Plannr's answer has no signing_secret")
        return SecretStr(secret)

    async def _subscriptions(self) -> list[tuple[str, str]]:
        """Address and uuid of every subscription."""
        answer = await self.upstream.request("GET", HOOKS)
        found = [
            (text(one.get("url")), identifier(one.get("uuid", one.get("id"))))
            for one in self.items(answer) or []
        ]
        return [(url, uuid) for url, uuid in found if url is not None and uuid is not None]

    async def create_task(self, fields: Mapping[str, Any]) -> Raw:
        body = {**self.account.create, **self._body(fields)}
        return await self._write("POST", TASKS, None, body)

    async def update_task(self, task_id: str, fields: Mapping[str, Any]) -> Raw:
        return await self._write("PUT", _path(task_id), task_id, self._body(fields))

    async def complete_task(self, task_id: str) -> Raw:
        return await self._write("PATCH", f"{_path(task_id)}/complete", task_id)

    async def reopen_task(self, task_id: str) -> Raw:
        status = self.account.reopen_status
        if status is None:
            raise SourceRejected(f"{self.account.name}: reopening a task needs reopen_status")
        path = f"{_path(task_id)}/uncomplete/{quote(status, safe='')}"
        return await self._write("PATCH", path, task_id)

    async def _write(
        self, method: str, path: str, task_id: str | None, body: Raw | None = None
    ) -> Raw:
        answer = await self.upstream.request(method, path, json=body, effect=True)
        if answer is None and task_id is not None:
            answer = await self.fetch(task_id)
        return single(self, answer, task_id, otherwise=OutcomeUnknown)

    async def _pages(self, params: Mapping[str, str | int]) -> AsyncIterator[Page]:
        reading = Reading(self)
        for number in count(1):
            requested_at = self.upstream.clock.now()
            asked = {**self._wanted(), **self._filters(), **params, "page": number}
            answer = await self.upstream.request("GET", TASKS, params=asked)
            rows = reading.rows(answer)
            total = tally(mapping(mapping(answer).get("meta")).get("total"))
            is_again = reading.is_again(rows) and len(rows) != params["per_page"]
            is_last = _is_last(answer, number)
            # Where nothing tells what follows, a page that comes again tells that nothing does.
            if is_last is None and is_again:
                return
            yield Page(await reading.tasks(rows), requested_at, reading.nameless, total)
            if not rows or is_last:
                return

    def _wanted(self) -> dict[str, str | int]:
        return {"include": ",".join(self.account.include)} if self.account.include else {}

    def _filters(self) -> dict[str, str | int]:
        filters = {"subtask_visibility": self.account.subtasks, **self.account.filters}
        return {f"filter[{name}]": value for name, value in filters.items()}

    def _body(self, fields: Mapping[str, Any]) -> Raw:
        """What the rule language calls by its own words, in Plannr's."""
        body = translated("plannr", fields, _WORDS)
        if body.get("priority") == "normal":
            body["priority"] = "medium"
        if body.get("due_at") is not None:
            body["due_at"] = f"{local(body['due_at'], self._zone):%Y-%m-%d %H:%M:%S}"
        if body.get("assigned_to_uuids") is not None:
            body["assigned_to_uuids"] = [body["assigned_to_uuids"]]
        return body


def _path(task_id: str) -> str:
    return f"{TASKS}/{quote(task_id, safe='')}"


def _is_last(answer: Any, number: int) -> bool | None:
    """Whether Laravel's `links` or `meta` say that no page follows; None where neither tells.

    A link to the next page counts more than a number of pages that is wrong.
    """
    links = mapping(mapping(answer).get("links"))
    last = mapping(mapping(answer).get("meta")).get("last_page")
    if links.get("next"):
        return False
    if isinstance(last, int):
        return number >= last
    return True if "next" in links else None


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


def _customer(taskable: Mapping[str, Any]) -> Customer | None:
    uuid = first_id(taskable, "uuid", "id")
    if uuid is None:
        return None
    phone = text(taskable.get("phone"))
    return Customer(id=uuid, name=_name(taskable), email=text(taskable.get("email")), phone=phone)


def _project(taskable: Mapping[str, Any]) -> Project | None:
    uuid = first_id(taskable, "uuid", "id")
    return None if uuid is None else Project(id=uuid, name=_name(taskable))


def _worth(taskable: Mapping[str, Any]) -> dict[str, Any]:
    """What the case is worth, in the currency's smallest unit, and as it is written."""
    value = mapping(taskable.get("value"))
    if not value:
        return {}
    amount, currency, written = (value.get(name) for name in ("amount", "currency", "formatted"))
    found = zip(_WORTH, (_amount(amount), text(currency), text(written)), strict=True)
    return {name: one for name, one in found if one is not None}


def _amount(value: Any) -> int | float | None:
    """An amount, which may come as text."""
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
