"""Plannr: an advisers' CRM with signed webhooks and a list that can be sorted by change.

Sources: the vendor's page for GET /api/v1/task, and its public pages for the writes and for webhook
subscriptions. Undocumented details are options of `PlannrAccount`.
"""

from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import SecretStr

from service.errors import OutcomeUnknown, SourceRejected
from service.sources import Page, Source
from service.sources.account import Account
from service.sources.facts import Facts, Words, inside
from service.sources.guide import Guide
from service.sources.pagination import Reading, by_id, single
from service.sources.plannr.account import PlannrAccount
from service.sources.plannr.reader import PRIORITIES, PlannrReader
from service.sources.reader import Raw
from service.sources.task_fields import translated
from service.sources.values import identifier, local, mapping, tally, text

TASKS = "/api/v1/task"
HOOKS = "/api/v2/webhook-subscriptions"
EVENTS = ("task.created", "task.updated", "task.deleted", "task.completed")
RECENT_PER_PAGE = 50

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


class Plannr(PlannrReader, Source):
    """One Plannr account."""

    options: ClassVar[type[Account]] = PlannrAccount
    writes: ClassVar[frozenset[str]] = frozenset(
        {"create_task", "update_task", "complete_task", "reopen_task"}
    )
    needed_options: ClassVar[Mapping[str, str]] = {"reopen_task": "reopen_status"}
    facts: ClassVar[Facts] = Facts(
        fills=frozenset({"title", "description", "type", "status", "priority", "fields"})
        | {"done", "archived", "not_started", "assignees"}
        | {"due", "due_is_day", "created_at", "updated_at", "completed_at", "completed_at_is_day"}
        | inside("assignee", "id", "name", "email")
        | inside("completed_by", "id", "name", "email")
        | inside("author", "id", "name", "email")
        | inside("customer", "id", "name", "email", "phone", "tags", "groups")
        | inside("project", "id", "name"),
        words={"priority": Words(frozenset(PRIORITIES.values()))},
        remedies={
            "customer.fields": "add customer_fields: { level: service_level } to the account"
        },
        sets=frozenset(_WORDS),
        needs={"title": "name"},
    )
    guide: ClassVar[Guide] = Guide(
        credential="A personal access token of a Plannr login. Taskbell sees the tasks that this"
        " login may see: use one of an owner or an administrator.",
        base_url="https://api.plannrcrm.com",
        company="Number of your firm: account.uuid in the answer of /api/v1/logins",
        webhook="Plannr reports changes at once if you subscribe Taskbell to them. The command"
        " below does that, and prints the line to add to the file.",
        subscribes=True,
    )

    @classmethod
    def facts_for(cls, options: Mapping[str, Any]) -> Facts:
        found = super().facts_for(options)
        given = mapping(options.get("customer_fields"))
        return found.and_fills("customer.fields") if given else found

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
            # Without links and totals, a repeated page shows that no page follows.
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
        """The fields of the rule language under Plannr's names."""
        body = translated("plannr", fields, _WORDS)
        if body.get("priority") == "normal":
            body["priority"] = "medium"
        if body.get("due_at") is not None:
            body["due_at"] = f"{local(body['due_at'], self.dates.calendar.zone):%Y-%m-%d %H:%M:%S}"
        if body.get("assigned_to_uuids") is not None:
            body["assigned_to_uuids"] = [body["assigned_to_uuids"]]
        return body


def _path(task_id: str) -> str:
    return f"{TASKS}/{quote(task_id, safe='')}"


def _is_last(answer: Any, number: int) -> bool | None:
    """Whether Laravel's `links` or `meta` say that no page follows; None if neither exists.

    A link to the next page takes precedence over a wrong number of pages.
    """
    links = mapping(mapping(answer).get("links"))
    last = mapping(mapping(answer).get("meta")).get("last_page")
    if links.get("next"):
        return False
    if isinstance(last, int):
        return number >= last
    return True if "next" in links else None
