"""LetsLigo: a CRM on API Platform; its tasks can be read only, and its lists show part of them.

Sources: the vendor's page on /api/contact_tasks in the user's hands, its public pages on contacts
and workspaces, and API Platform's documentation on paging. What is inferred is an option of
`LetsLigoAccount`.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import structlog
from pydantic import Field

from service.domain.flags import flag
from service.domain.model import Customer, Task
from service.errors import SourceBroken, SourceError, SourceRejected, SourceUnauthorized
from service.http.upstream import Upstream
from service.sources import Page, Source
from service.sources.account import Account, HeaderText
from service.sources.dates import When
from service.sources.facts import Facts, Words, inside
from service.sources.forms import Form, a_date, a_flag, a_text, an_object
from service.sources.pagination import Reading, by_id, rows_of
from service.sources.reader import Raw
from service.sources.values import (
    flattened,
    identifier,
    mapping,
    members,
    prose,
    required,
    tally,
    text,
)

log = structlog.get_logger()

TASKS = "/api/contact_tasks"
CONTACTS = "/api/contacts"
PER_PAGE = 30

# How many contacts an account remembers and for how long: a name changes seldom.
CONTACTS_KEPT = 5000
CONTACT_KEPT_FOR = timedelta(hours=1)
# How long one is left alone that could not be read, and all after so many in a row could not.
CONTACTS_PAUSE = timedelta(minutes=1)
CONTACTS_TRIED = 3

_TYPES = ("call", "email", "meeting", "follow_up", "proposal", "quote", "other")
_LEAN = ("title", "type", "dueDate", "completed")
_FULL = (*_LEAN, "taskKind", "payload", "description", "completedAt")
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
}


class LetsLigoAccount(Account):
    """A workspace of LetsLigo.

    `workspace` is its slug, for a token that opens several. `lean_lists` says that lists leave out
    description, kind, payload and time of completion, so that a changed task is read by id as well.
    `per_page` is sent as API Platform's itemsPerPage; without it the system decides.
    """

    tenant_options: ClassVar[tuple[str, ...]] = ("workspace",)

    workspace: HeaderText | None = None
    lean_lists: bool = True
    per_page: int | None = Field(default=None, ge=1)

    def headers(self) -> Mapping[str, str]:
        accept = {"Accept": "application/ld+json, application/json;q=0.5"}
        workspace = {"X-Workspace-Slug": self.workspace} if self.workspace else {}
        return {**super().headers(), **accept, **workspace}


class LetsLigo(Source):
    """One LetsLigo account.

    A task's contact is an IRI; it is replaced by the contact's own JSON once that was read.
    What `payload` holds for its kind of task is kept among the task's own fields.
    """

    options: ClassVar[type[Account]] = LetsLigoAccount
    revision: ClassVar[int] = 2
    facts: ClassVar[Facts] = Facts(
        fills=frozenset({"title", "description", "type", "done", "due", "completed_at", "fields"})
        | {"due_is_day", "completed_at_is_day"}
        | inside("customer", "id", "name", "email", "phone"),
        words={"type": Words(frozenset(_TYPES))},
    )

    account: LetsLigoAccount

    def __init__(self, account: LetsLigoAccount, upstream: Upstream) -> None:
        super().__init__(account, upstream)
        self._contacts = _Contacts(upstream)
        self._shown = _LEAN if account.lean_lists else _FULL
        self._page_size = account.per_page or PER_PAGE
        self._ended: tuple[int, int] | None = None

    @property
    def refetches(self) -> bool:
        return self.account.lean_lists

    def items(self, payload: Any) -> list[Raw] | None:
        rows = rows_of(payload)
        return rows_of(_hydra(mapping(payload), "member")) if rows is None else rows

    def trim(self, raw: Raw) -> Raw:
        # API Platform leaves out what is null, or does not: the same to us.
        kept = {name: raw[name] for name in _FULL if raw.get(name) is not None}
        return {"id": self.identify(raw), **kept, "contact": _contact(raw.get("contact"))}

    def list_view(self, raw: Raw) -> Raw:
        shown = {name: raw[name] for name in ("id", *self._shown) if name in raw}
        contact = mapping(raw.get("contact"))
        # One that could not be read makes the task look changed: the next scan tries again.
        return {**shown, "contact": contact if "unread" in contact else contact.get("id")}

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
        completed = completed if done else When()
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

    async def scan(self) -> AsyncIterator[Page]:
        reading, read, asked = Reading(self), 0, self._page(1)
        for next_number in count(2):
            requested_at = self.upstream.clock.now()
            answer = await self.upstream.request("GET", TASKS, params=asked)
            rows = reading.rows(answer)
            is_again = reading.is_again(rows)
            raws, read = await reading.tasks(rows), read + (0 if is_again else len(rows))
            total = tally(_hydra(mapping(answer), "totalItems"))
            yield Page(raws, requested_at, reading.nameless, total)
            following = self._following(
                mapping(answer), next_number, read, len(rows), is_again=is_again
            )
            if following is None:
                return
            asked = following

    async def enrich(self, raw: Raw) -> Raw | None:
        if self.refetches:
            return await self.fetch(raw["id"])
        return await self._introduce(raw)

    async def fetch(self, task_id: str) -> Raw | None:
        raw = await by_id(self, task_id, f"{TASKS}/{quote(task_id, safe='')}")
        return None if raw is None else await self._introduce(raw)

    async def _introduce(self, raw: Raw) -> Raw:
        """The task with its contact's name and addresses, if they can be read now."""
        number = mapping(raw["contact"]).get("id")
        if number is None:
            return raw
        contact = await self._contacts.read(number)
        return {**raw, "contact": contact or {"id": number, "unread": True}}

    def _page(self, number: int) -> dict[str, str | int]:
        per_page = self.account.per_page
        return {"page": number} if per_page is None else {"page": number, "itemsPerPage": per_page}

    def _following(
        self, answer: Mapping[str, Any], number: int, read: int, rows: int, *, is_again: bool
    ) -> dict[str, str | int] | None:
        """What to ask for next; None at the end. Raises SourceBroken if that came too early.

        A link tells, where there is one, but for one on an empty page or a short one that comes
        again: some servers never leave it out. Else the total tells, if more than a page came: some
        count the page, or what the token does not see.
        """
        view, total = mapping(_hydra(answer, "view")), tally(_hydra(answer, "totalItems"))
        is_full = rows == self._page_size
        is_end = not rows or (is_again and (not is_full or read == total))
        link = _hydra(view, "next")
        if link is not None and not (is_end and is_again):
            return _asked_by(link) or self._page(number)
        if total is None or (read == total and (view or not is_full)):
            return None if is_end or view or read == total else self._page(number)
        if not is_end or not (is_again or read == total):
            return self._page(number)
        if read != total:
            self._demand_whole(read, total)
        return None

    def _demand_whole(self, read: int, total: int) -> None:
        """Raise SourceBroken for a list that ended too early behind a full page, or an empty one.

        One that ends there again counts what the token does not see.
        """
        is_known, self._ended = self._ended == (read, total), (read, total)
        if read < total and read % self._page_size == 0 and not (read and is_known):
            raise SourceBroken(
                f"{self.account.name}: the list of tasks ended after {read} of {total}"
            )
        log.warning("list.wrong_total", account=self.account.name, read=read, total=total)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A contact, and when it was read."""

    contact: Raw
    read_at: datetime


class _Contacts:
    """An account's contacts by id: remembered for a while, and never worth losing a task for.

    One that cannot be read is left alone for a minute, and all of them once several in a row could
    not: they must not cost every task a time-out.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._kept: dict[str, _Kept] = {}
        self._failed: dict[str, datetime] = {}
        self._failures = 0
        self._ask_again_at = upstream.clock.now()

    async def read(self, number: str) -> Raw | None:
        """The contact, of which only the id may be known; None if it cannot be read just now."""
        kept, now = self._kept.get(number), self._upstream.clock.now()
        is_fresh = kept is not None and now - kept.read_at < CONTACT_KEPT_FOR
        if not is_fresh and now >= max(self._ask_again_at, self._failed.get(number, now)):
            try:
                kept = _Kept(await self._ask(number), now)
            except SourceError as error:
                self._leave_alone(number, error)
            else:
                self._keep(number, kept)
        return None if kept is None else kept.contact

    def _leave_alone(self, number: str, error: SourceError) -> None:
        now, self._failures = self._upstream.clock.now(), self._failures + 1
        self._failed = {one: until for one, until in self._failed.items() if until > now}
        self._failed[number] = now + CONTACTS_PAUSE
        if self._failures >= CONTACTS_TRIED or error.retry_after is not None:
            self._ask_again_at = now + CONTACTS_PAUSE
        log.warning("contact.unread", account=self._upstream.account, error=str(error))

    async def _ask(self, number: str) -> Raw:
        try:
            path = f"{CONTACTS}/{quote(number, safe='')}"
            answer = await self._upstream.request("GET", path)
        except (SourceUnauthorized, SourceRejected):
            answer = None  # gone, or not ours to see: asking again would not help
        return {**_only(mapping(answer)), "id": number}

    def _keep(self, number: str, kept: _Kept) -> None:
        self._failures = 0
        self._kept.pop(number, None)
        self._kept[number] = kept
        if len(self._kept) > CONTACTS_KEPT:
            del self._kept[next(iter(self._kept))]


def _hydra(answer: Mapping[str, Any], name: str) -> Any:
    """A property of Hydra's; API Platform 4 has dropped the prefix that earlier ones write."""
    return answer.get(f"hydra:{name}", answer.get(name))


def _asked_by(link: Any) -> dict[str, str | int]:
    """What a link to the next page asks for; nothing if it is none.

    Where it leads does not matter: behind a proxy, a system knows neither its scheme nor its port.
    """
    try:
        return dict(httpx.URL(link).params)
    except (TypeError, httpx.InvalidURL):
        return {}


def _id(value: Any, collection: str) -> str | None:
    """The id in an IRI of that collection; None for one of another. An id alone is itself."""
    if isinstance(value, str):
        value = value.rpartition(f"{collection}/")[2].rstrip("/")
        if "/" in value:
            return None
    return identifier(value)


def _first_id(raw: Mapping[str, Any], collection: str) -> str | None:
    """What of an object's ids is one of that collection: its IRI may be one of none."""
    found = (_id(raw.get(name), collection) for name in ("@id", "id", "uuid"))
    return next((one for one in found if one is not None), None)


def _contact(value: Any) -> Raw | None:
    """A contact as far as it is kept, given by its IRI or as an object."""
    raw = mapping(value)
    number = _first_id(raw, CONTACTS) if raw else _id(value, CONTACTS)
    return None if number is None else {**_only(raw), "id": number}


def _only(contact: Mapping[str, Any]) -> Raw:
    return {name: contact[name] for name in ("name", "emails", "phones") if contact.get(name)}


def _customer(value: Any) -> Customer | None:
    contact = _contact(value)
    if contact is None:
        return None
    return Customer(
        id=contact["id"],
        name=text(contact.get("name")),
        email=_first(contact.get("emails")),
        phone=_first(contact.get("phones")),
    )


def _first(values: Any) -> str | None:
    found = members(values)
    return next((one for value in found if (one := text(value)) is not None), None)
