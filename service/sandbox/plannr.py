"""An emulated Plannr."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias
from uuid import uuid4
from zoneinfo import ZoneInfo

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.clock import Clock
from service.sandbox.system import TOKEN, Raw, TaskSystem

ACCOUNT_UUID = "0f6a0c3e-5d0e-4b5e-9a57-0c4f6d8b1a11"
ZONE = ZoneInfo("Europe/London")
LARGEST_PAGE = 500

Listener: TypeAlias = Callable[[str, Raw], None]


def _status(name: str, **flags: bool) -> Raw:
    uuid = str(uuid4())
    return {
        "uuid": uuid,
        "name": name,
        "colour": "#398898",
        "is_not_started": False,
        "is_archived": False,
        "is_type_completed": False,
        **flags,
    }


# The firm's own words: only the flags say what they mean.
OPEN = _status("To be looked at", is_not_started=True)
DONE = _status("Sorted", is_type_completed=True)
FILED = _status("Filed away", is_archived=True)
STATUSES = {status["uuid"]: status for status in (OPEN, DONE, FILED)}


class Plannr(TaskSystem):
    """One firm's tasks, and the subscribers to their changes."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.listeners: list[Listener] = []

    def make(self, **fields: Any) -> Raw:
        """A new task with these fields; `due` may be a datetime in place of `due_at`."""
        uuid = str(fields.pop("uuid", None) or uuid4())
        task: Raw = {
            "uuid": uuid,
            "name": "Document the transaction",
            "description": None,
            "due_at": None,
            "status": OPEN,
            "position": 1,
            "priority": "medium",
            "author": person("Gwen Thomas"),
            "assigned_to": None,
            "taskable": None,
            "taskable_type": None,
            "custom_fields": [],
            "parent_task_uuid": None,
            "created_at": self._stamp(),
            "completed_at": None,
            "completed_by": None,
        }
        self.tasks[uuid] = task
        self._set(task, fields)
        self._announce("task.created", task)
        return task

    def change(self, task_id: str, **fields: Any) -> Raw:
        task = self._task(task_id)
        self._set(task, fields)
        self._announce("task.updated", task)
        return task

    def finish(self, task_id: str) -> Raw:
        task = self._task(task_id)
        now = naive(self.clock.now())
        self._set(task, {"status": DONE, "completed_at": now, "completed_by": task["assigned_to"]})
        self._announce("task.updated", task)
        self._announce("task.completed", task)
        return task

    def reopen(self, task_id: str) -> Raw:
        return self.change(task_id, status=OPEN, completed_at=None, completed_by=None)

    def delete(self, task_id: str) -> None:
        self._announce("task.deleted", self.tasks.pop(task_id))

    def routes(self) -> list[Route]:
        one = "/api/v1/task/{uuid}"
        return [
            Route("/api/v1/logins", self._logins),
            Route("/api/v1/task", self._list),
            Route("/api/v1/task", self._create, methods=["POST"]),
            Route(one, self._read),
            Route(one, self._update, methods=["POST", "PUT"]),
            Route(f"{one}/complete", self._complete, methods=["PATCH"]),
            Route(f"{one}/uncomplete/{{status}}", self._uncomplete, methods=["PATCH"]),
        ]

    def check(self, request: Request) -> None:
        """Authenticate the caller; raises HTTPException."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise HTTPException(401, "Unauthenticated.")
        if request.headers.get("x-plannr-account-uuid") != ACCOUNT_UUID:
            raise HTTPException(403, "This account is not yours.")

    async def _logins(self, request: Request) -> Response:
        self.check(request)
        return JSONResponse({"data": [{"uuid": str(uuid4()), "account": {"uuid": ACCOUNT_UUID}}]})

    async def _list(self, request: Request) -> Response:
        self.check(request)
        query = request.query_params
        rows = self._sorted(query.get("sort", "created_at"))
        if query.get("filter[subtask_visibility]", "exclude") == "exclude":
            rows = [row for row in rows if row["parent_task_uuid"] is None]
        number, per_page = int(query.get("page", 1)), int(query.get("per_page", 15))
        if not 0 < per_page <= LARGEST_PAGE:
            raise HTTPException(422, "The per page must be between 1 and 500.")
        page = self.page(rows, number, per_page)
        if self.quirks.bare:
            return JSONResponse(page)
        last = number + 1 if self.quirks.loop else max(1, -(-len(rows) // per_page))
        last = 1 if self.quirks.ends_early else last
        return JSONResponse({"data": page, **self._paging(request, number, last, len(rows))})

    def _paging(self, request: Request, number: int, last: int, total: int) -> Raw:
        url = request.url.include_query_params(page=number + 1)
        if self.quirks.foreign_next:
            url = url.replace(scheme="https", netloc="elsewhere.invalid")
        return {
            "links": {"next": str(url) if number < last else None},
            "meta": {"current_page": number, "last_page": last, "total": total},
        }

    async def _read(self, request: Request) -> Response:
        self.check(request)
        return self._answer(self._task(request.path_params["uuid"]))

    async def _create(self, request: Request) -> Response:
        self.check(request)
        body = await self.note_write(request)
        if not body or not body.get("name"):
            raise HTTPException(422, "The name field is required.")
        return self._answer(self.make(**_from_words(body)), 201)

    async def _update(self, request: Request) -> Response:
        self.check(request)
        body = await self.note_write(request)
        return self._answer(self.change(request.path_params["uuid"], **_from_words(body)))

    async def _complete(self, request: Request) -> Response:
        self.check(request)
        await self.note_write(request)
        return self._answer(self.finish(request.path_params["uuid"]))

    async def _uncomplete(self, request: Request) -> Response:
        self.check(request)
        await self.note_write(request)
        return self._answer(self.reopen(request.path_params["uuid"]))

    def _answer(self, task: Raw, status: int = 200) -> Response:
        return JSONResponse({"data": task} if self.quirks.bare else task, status)

    def _task(self, uuid: str) -> Raw:
        if uuid not in self.visible:
            raise HTTPException(404, "No query results for model [Task].")
        return self.tasks[uuid]

    def _set(self, task: Raw, fields: Raw) -> None:
        if "due" in fields:
            due = fields.pop("due")
            fields["due_at"] = None if due is None else naive(due)
        task |= fields
        task["updated_at"] = self._stamp()

    def _sorted(self, by: str) -> list[Raw]:
        name = by.removeprefix("-")
        if name not in {"created_at", "updated_at", "due_at", "name", "priority"}:
            raise HTTPException(400, f"Requested sort(s) `{name}` is not allowed.")
        return sorted(self.listed, key=lambda task: task[name] or "", reverse=by.startswith("-"))

    def _announce(self, event: str, task: Raw) -> None:
        for listener in self.listeners:
            listener(event, task)

    def _stamp(self) -> str:
        return self.clock.now().astimezone(ZONE).replace(microsecond=0).isoformat()


def naive(moment: datetime) -> str:
    """A time as Plannr writes due dates: London time without an offset."""
    return f"{moment.astimezone(ZONE):%Y-%m-%d %H:%M:%S}"


def person(name: str) -> Raw:
    """A person of the firm."""
    first, _, last = name.partition(" ")
    mail = f"{first}.{last}@adviser.test".lower()
    return {"uuid": str(uuid4()), "name": name, "email": mail, "role": "member"}


def _from_words(body: Raw) -> Raw:
    """The fields of a write under the names of a read."""
    fields = {name: value for name, value in body.items() if not name.endswith(("_uuid", "_uuids"))}
    if "task_status_uuid" in body:
        fields["status"] = STATUSES[body["task_status_uuid"]]
    if body.get("assigned_to_uuids"):
        fields["assigned_to"] = {"uuid": body["assigned_to_uuids"][0]}
    if "taskable_uuid" in body:
        fields["taskable"] = {"uuid": body["taskable_uuid"]}
    return fields
