"""Kickserv: field service; a window of dates is polled, and it sends messages to customers.

Sources: the page on /tasks.json, provided by the user (it names no product), and other public notes
on the same API. The field names of a task are not documented: inferred ones are options of
`KickservAccount`. A list for a range of days leaves out tasks without a date, so that the whole
account is read as well, less often.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import count
from typing import Any, ClassVar
from urllib.parse import quote

from service.domain.model import DAYS
from service.errors import OutcomeUnknown, SourceRejected
from service.sources import Page, Source
from service.sources.account import Account
from service.sources.facts import Facts, Words, inside
from service.sources.guide import POLLED, Guide
from service.sources.kickserv.account import KickservAccount
from service.sources.kickserv.misnamed import misnamed, vouched
from service.sources.kickserv.reader import KickservReader
from service.sources.pagination import GONE, Reading, single
from service.sources.reader import Raw
from service.sources.task_fields import translated
from service.sources.values import identifier, local, mapping, text
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


class Kickserv(KickservReader, Source):
    """One Kickserv account."""

    options: ClassVar[type[Account]] = KickservAccount
    notifications: ClassVar[frozenset[str]] = frozenset({"employee", "details", "on_the_way"})
    writes: ClassVar[frozenset[str]] = frozenset(
        {"create_task", "update_task", "complete_task", "reopen_task", "delete_task"}
    )
    facts: ClassVar[Facts] = Facts(
        fills=frozenset({"title", "description", "type", "done", "fields", "assignees", "contacts"})
        | {"url", *DAYS, *DAYS.values(), "created_at", "updated_at"}
        | inside("assignee", "id", "name", "email", "number")
        | inside("customer", "id", "name", "email", "phone", "tags")
        | inside("project", "id", "name"),
        when_done=frozenset({"completed_at"}),
        words={"type": Words(frozenset(), numbers=True)},
        remedies={
            "type": 'add task_types: { "1": job } to the account',
            "customer.opted_out": "add opted_out_field: with the name of the field to the account",
            "customer.fields": "add customer_fields: { level: custom_text1 } to the account",
        },
        sets=frozenset(_WRITTEN),
        needs={"title": "name", "project": "job_id", "type": "task_type_id"},
    )
    guide: ClassVar[Guide] = Guide(
        credential="The API token of an employee. Taskbell sees what this employee sees, so use"
        " one who sees all jobs.",
        base_url="https://app.kickserv.com",
        company="Your company in the address of its pages: app.kickserv.com/COMPANY",
        webhook=POLLED,
    )

    @classmethod
    def facts_for(cls, options: Mapping[str, Any]) -> Facts:
        found = super().facts_for(options)
        if types := mapping(options.get("task_types")):
            words = frozenset(map(str, types.values()))
            found = found.and_knows(type=Words(words, numbers=True))
        if mapping(options.get("fields")).get("done"):
            found = replace(found, when_done=frozenset())  # it may be a mere flag
        optional = {
            "customer.opted_out": options.get("opted_out_field"),
            "customer.fields": mapping(options.get("customer_fields")),
        }
        return found.and_fills(*(name for name, given in optional.items() if given))

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
            f"{self.account.name}: a new task must belong to a job, but customer {customer} has"
            f" {many}; set project: in the rule"
        )

    def _listed(self, window: Mapping[str, str]) -> AsyncIterator[Page]:
        """The tasks in the account's lists, if their fields have the configured names."""
        pages = self._pages({**self.account.filters, **window})
        doubt = misnamed(self.account, is_whole=not window)
        return vouched(self.account.name, pages, doubt)

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
        """Any call that is not a GET has an effect; a notification reaches a real person."""
        path = f"/{quote(self.account.slug, safe='')}/{path}"
        effect = method != "GET"
        return await self.upstream.request(method, path, params=params, json=json, effect=effect)

    def _body(self, fields: Mapping[str, Any]) -> Raw:
        """The fields of the rule language under Kickserv's names."""
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

    def _type_id(self, word: str) -> str:
        types = self.account.task_types.items()
        return next((number for number, name in types if name == word), word)

    def _window(self) -> tuple[date, date]:
        """The first and the last local day that is polled."""
        today = self.upstream.clock.now().astimezone(self._zone).date()
        back, ahead = timedelta(self.account.days_back), timedelta(self.account.days_ahead)
        return today - back, today + ahead

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._zone)

    @property
    def _zone(self) -> tzinfo:
        return self.account.timezone or UTC


def _path(task_id: str) -> str:
    return f"tasks/{quote(task_id, safe='')}.json"


def _is_gone(error: SourceRejected) -> bool:
    return error.status in GONE or NO_SUCH_TASK in error.answer.lower()
