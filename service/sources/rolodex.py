"""Rolodex: a contact-based CRM whose list is read by offsets that drift.

Sources: the vendor's pages on reading tasks, provided by the user, and its public pages on writing
them. The address and the authentication differ from page to page, so they are options of
`RolodexAccount`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field

from service.domain.model import Customer, Person, Task
from service.errors import OutcomeUnknown, SourceRejected
from service.sources import Page, Source
from service.sources.account import Account
from service.sources.facts import Facts, inside
from service.sources.forms import Form, a_date, a_text, left_open, people
from service.sources.guide import POLLED, Guide
from service.sources.offsets import OffsetWalk, each_once
from service.sources.pagination import Reading, by_id, enveloped, single
from service.sources.reader import Raw
from service.sources.task_fields import translated
from service.sources.values import (
    LONGEST_LINE,
    described,
    first_id,
    first_reference,
    identifier,
    local,
    mapping,
    members,
    only,
    prose,
    reference,
    references,
    required,
    tally,
    text,
)

_TASK = ("id", "body", "due_date", "completed_at", "created_at", "updated_at")
_WHOLE = frozenset({*_TASK, "contacts", "assignee", "tags"})
# Pictures stay outside: their addresses change without any change of the task.
_USERS = ("assignee", "creator")
_PERSON = ("id", "full_name")
_TAG = ("id", "name")
_FORMS = {
    "body": a_text("title"),
    "due_date": a_date("due"),
    "completed_at": a_date("completed_at", "done"),
    "created_at": a_date("created_at"),
    "updated_at": a_date("updated_at"),
    "contacts": people("id", _PERSON, "customer", "contacts"),
    "assignee": people("id", _PERSON, "assignee", "assignees"),
    "creator": people("id", _PERSON, "author", "fields"),
}
# What a field that is missing leaves open; where there is none, it is there and null.
_FILLS = {
    "body": ("title",),
    "due_date": ("due",),
    "completed_at": ("completed_at", "done"),
    "created_at": ("created_at",),
    "contacts": ("customer", "contacts"),
    "assignee": ("assignee", "assignees"),
    "creator": ("author", "fields"),
}
_RELATIONS = ("contacts", "tags")
_WORDS = {"title": "body", "due": "due_date", "assignee": "assignee", "customer": "contacts"}
_ASKED = {"include": "tags"}


class RolodexAccount(Account):
    """A Rolodex workspace.

    `auth` is how `token` is sent: key (the header `x-rolodex-api-key`) or bearer. `path` leads
    from `base_url` to the tasks. `per_page` is how many tasks are asked for at once.
    `create` has the fields that each task created by a rule gets, by the system's own names.
    """

    auth: Literal["key", "bearer"] = "key"
    path: str = Field(default="/user-api/v1", pattern=r"^(/[\w.~-]+)*$")
    per_page: int = Field(default=100, ge=2)
    create: Mapping[str, Any] = Field(default_factory=dict)

    def headers(self) -> Mapping[str, str]:
        if self.auth == "bearer":
            return super().headers()
        return {"x-rolodex-api-key": self.token.get_secret_value(), "Accept": "application/json"}


class Rolodex(Source):
    """One Rolodex account."""

    options: ClassVar[type[Account]] = RolodexAccount
    writes: ClassVar[frozenset[str]] = frozenset(
        {"create_task", "update_task", "complete_task", "reopen_task"}
    )
    revision: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        fills=frozenset({"title", "done", "tags", "fields", "assignees", "contacts"})
        | {"due", "due_is_day", "created_at", "updated_at", "completed_at", "completed_at_is_day"}
        | inside("assignee", "id", "name")
        | inside("author", "id", "name")
        | inside("customer", "id", "name"),
        when_done=frozenset({"completed_at"}),
        sets=frozenset(_WORDS),
        needs={"title": "body", "due": "due_date"},
    )
    guide: ClassVar[Guide] = Guide(
        credential="The API key of your workspace.",
        base_url="",
        webhook=f"{POLLED} The address is the one that Rolodex gives for your account.",
    )

    account: RolodexAccount

    def items(self, payload: Any) -> list[Raw] | None:
        return enveloped(payload)

    def trim(self, raw: Raw) -> Raw:
        kept = only(raw, _TASK) | {name: _named(raw[name]) for name in _USERS if name in raw}
        if "contacts" in raw:
            kept["contacts"] = [described(one, _PERSON) for one in references(raw["contacts"])]
        if raw.get("tags") is not None:
            # They are the same tags in whatever order they come.
            tags = [only(tag, _TAG) for tag in references(raw["tags"])]
            kept["tags"] = sorted(tags, key=lambda tag: str(tag.get("id")))
        return kept

    def identify(self, raw: Raw) -> str | None:
        return first_id(raw, "id", "uuid")

    def is_whole(self, raw: Raw) -> bool:
        return raw.keys() >= _WHOLE

    def unknown_fields(self, raw: Raw) -> frozenset[str]:
        left = set(left_open(raw, _FILLS))
        # Tags may be missing although they were asked for: that does not mean that there are none.
        # Nor do ids in their place say what they are called.
        if "tags" not in raw or not all(text(tag.get("name")) for tag in raw["tags"]):
            left.add("tags")
        if raw.get("creator") is not None and not text(mapping(raw["creator"]).get("full_name")):
            left.add("fields")
        return frozenset(left)

    @property
    def forms(self) -> Mapping[str, Form]:
        return _FORMS

    def parse(self, raw: Raw) -> Task:
        account, contacts = self.account, self.customers(raw)
        due = self.dates.read(raw, "due_date", "due")
        completed = self.dates.read(raw, "completed_at", "completed_at")
        assignee, creator = _person(raw.get("assignee")), _person(raw.get("creator"))
        return Task(
            id=required(self.identify(raw), "id"),
            account=account.name,
            system=account.system,
            title=text(raw.get("body")) or "",
            done=completed.at is not None,
            due=due.at,
            due_is_day=due.is_day,
            created_at=self.dates.moment(raw, "created_at"),
            updated_at=self.dates.moment(raw, "updated_at"),
            completed_at=completed.at,
            completed_at_is_day=completed.is_day,
            assignee=assignee,
            assignees=() if assignee is None else (assignee,),
            author=creator,
            customer=contacts[0] if contacts else None,
            contacts=contacts,
            tags=_tags(raw.get("tags")),
            fields=_fields(raw.get("body"), creator),
            revision=self.revision,
        )

    def customers(self, raw: Raw) -> tuple[Customer, ...]:
        people = (_person(one) for one in members(raw.get("contacts")))
        return tuple(Customer(id=one.id, name=one.name) for one in people if one is not None)

    def version(self, raw: Raw) -> datetime | None:
        return self.dates.moment(raw, "updated_at")

    def scan(self) -> AsyncIterator[Page]:
        return each_once(self.account.name, self._pages)

    def find_similar(self, fields: Mapping[str, Any], since: datetime) -> AsyncIterator[Page]:
        del fields, since
        return each_once(self.account.name, self._pages, is_proof=True)

    async def fetch(self, task_id: str) -> Raw | None:
        return await by_id(self, task_id, self._path(task_id), _ASKED)

    async def create_task(self, fields: Mapping[str, Any]) -> Raw:
        body = {**self.account.create, **self._body(fields)}
        answer = await self.upstream.request("POST", self._path(), json=body, effect=True)
        return single(self, answer, otherwise=OutcomeUnknown)

    async def update_task(self, task_id: str, fields: Mapping[str, Any]) -> Raw:
        body = self._body(fields)
        return await self._put(await self._existing(task_id), body)

    async def complete_task(self, task_id: str) -> Raw:
        known = await self._existing(task_id)
        if known.get("completed_at"):
            return known
        return await self._put(known, {"completed_at": _stamp(self.upstream.clock.now())})

    async def reopen_task(self, task_id: str) -> Raw:
        known = await self._existing(task_id)
        return (
            await self._put(known, {"completed_at": None}) if known.get("completed_at") else known
        )

    async def _existing(self, task_id: str) -> Raw:
        known = await self.fetch(task_id)
        if known is None:
            raise SourceRejected(
                f"{self.account.name}: there is no task {task_id} to write to", status=404
            )
        return known

    async def _put(self, known: Raw, body: Raw) -> Raw:
        """Overwrite a task. Relations are replaced as a whole, so existing ones are sent, too."""
        task_id = required(self.identify(known), "id")
        merged = {name: self._merged(known, body, name) for name in _RELATIONS if name in known}
        told = {name: ids for name, ids in merged.items() if ids is not None}
        answer = await self.upstream.request(
            "PUT", self._path(task_id), params=_ASKED, json={**body, **told}, effect=True
        )
        return single(self, answer, task_id, otherwise=OutcomeUnknown)

    def _merged(self, known: Raw, body: Raw, name: str) -> list[str] | None:
        """The new value of a relation; None to leave out one that would lose entries without id."""
        ids = _ids(known[name])
        if len(ids) == len(known[name]):
            return list(dict.fromkeys([*body.get(name, ()), *ids]))
        if name not in body:
            return None
        raise SourceRejected(
            f"{self.account.name}: some {name} of task {known['id']} have no id, and writing others"
            " would remove them"
        )

    async def _pages(self, walk: OffsetWalk) -> AsyncIterator[Page]:
        reading, asked = Reading(self), {**_ASKED, "order_by": "due_date:asc"}
        while not walk.is_over:
            requested_at = self.upstream.clock.now()
            window = {"limit": self.account.per_page, "offset": walk.offset}
            answer = await self.upstream.request("GET", self._path(), params={**asked, **window})
            rows = reading.rows(answer)
            total = tally(mapping(mapping(answer).get("pagination")).get("total"))
            is_full = len(rows) >= self._limit(answer)
            if reading.is_again(rows) and total is None and not is_full:
                return
            walk.step([self.identify(row) for row in rows], total, is_full=is_full)
            yield Page(await reading.tasks(rows), requested_at, reading.nameless, total)

    def _path(self, task_id: str | None = None) -> str:
        tasks = f"{self.account.path}/tasks"
        return tasks if task_id is None else f"{tasks}/{quote(task_id, safe='')}"

    def _limit(self, answer: Any) -> int:
        """The page size: as requested, or the system's maximum, if it reports one."""
        most = tally(mapping(mapping(answer).get("pagination")).get("limit"))
        return min(self.account.per_page, most or self.account.per_page)

    def _body(self, fields: Mapping[str, Any]) -> Raw:
        """The fields of the rule language under Rolodex's names."""
        body = translated("rolodex", fields, _WORDS)
        if body.get("due_date") is not None:
            body["due_date"] = _stamp(local(body["due_date"], UTC))
        if "contacts" in body:
            body["contacts"] = [body["contacts"]]
        return body


def _named(value: Any) -> Raw | None:
    """The stored details of a person, as an object or the id alone; None if there is none."""
    return described(first_reference(value), _PERSON) if value else None


def _person(value: Any) -> Person | None:
    person = reference(value)
    found = Person(id=identifier(person.get("id")), name=text(person.get("full_name")))
    return None if found == Person() else found


def _fields(body: Any, creator: Person | None) -> dict[str, str]:
    """Further fields of a task: its whole body, if that is a long title."""
    whole, name = prose(body), creator.name if creator else None
    found = {"body": whole if whole and len(whole) > LONGEST_LINE else None, "creator": name}
    return {field: value for field, value in found.items() if value is not None}


def _tags(value: Any) -> tuple[str, ...]:
    names = (text(mapping(tag).get("name")) for tag in members(value))
    return tuple(name for name in names if name is not None)


def _ids(relation: Sequence[Any]) -> list[str]:
    found = (identifier(mapping(one).get("id")) for one in relation)
    return [number for number in found if number is not None]


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
