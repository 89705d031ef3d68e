"""An emulated Rolodex."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.clock import Clock
from service.sandbox.system import TOKEN, Raw, TaskSystem

DEFAULT_PAGE, LARGEST_PAGE = 25, 100
# The vendor's two pages disagree: each address has a way to log in of its own.
KEYED, BEARING = "/user-api/v1", "/v1"

CONTACTS = {"contact_123": "John Doe", "contact_456": "Jane Smith"}
USERS = {"user_456": "Alice Smith", "user_789": "Bob Johnson"}
TAGS = {"tag_101": "High Priority", "tag_102": "Sales"}
_REQUIRED = ("body", "due_date")
_RELATIONS = ("contacts", "tags", "assignee", "creator")


class Rolodex(TaskSystem):
    """One workspace's tasks."""

    title: ClassVar[str] = "body"
    when: ClassVar[str] = "due_date"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._numbers = count(12345)

    def make(self, **fields: Any) -> Raw:
        """A new task with these fields; dates may be datetimes, relations are ids or {id}."""
        task_id = str(fields.pop("id", None) or f"task_{next(self._numbers)}")
        now = self.clock.now()
        task: Raw = {"id": task_id}
        self.tasks[task_id] = task
        made = {
            "body": "Follow up with the prospect",
            "due_date": now + timedelta(days=1),
            "completed_at": None,
            "created_at": now,
            "updated_at": now,
            "contacts": ["contact_123"],
            "assignee": "user_456",
            "creator": "user_789",
            "tags": [],
        }
        return self.change(task_id, **made | fields)

    def change(self, task_id: str, **fields: Any) -> Raw:
        task = self._task(task_id)
        now = self.clock.now()
        task |= {name: _kept(name, value) for name, value in {"updated_at": now, **fields}.items()}
        return task

    def finish(self, task_id: str) -> Raw:
        return self.change(task_id, completed_at=self.clock.now())

    def reopen(self, task_id: str) -> Raw:
        return self.change(task_id, completed_at=None)

    def delete(self, task_id: str) -> None:
        self._task(task_id)
        del self.tasks[task_id]

    def routes(self) -> list[Route]:
        return [
            route
            for path in (f"{KEYED}/tasks", f"{BEARING}/tasks")
            for route in (
                Route(path, self._list),
                Route(path, self._create, methods=["POST"]),
                Route(f"{path}/{{id}}", self._read),
                Route(f"{path}/{{id}}", self._update, methods=["PUT"]),
            )
        ]

    def check(self, request: Request) -> None:
        """Authenticate the caller; raises HTTPException."""
        if KEYED in request.url.path:
            shown, wanted = request.headers.get("x-rolodex-api-key"), TOKEN
        else:
            shown, wanted = request.headers.get("authorization"), f"Bearer {TOKEN}"
        if shown != wanted:
            raise HTTPException(401, "Invalid API key.")

    async def _list(self, request: Request) -> Response:
        self.check(request)
        query = request.query_params
        rows = self._sorted(query.get("order_by", "due_date:asc"))
        limit = min(int(query.get("limit", DEFAULT_PAGE)), LARGEST_PAGE)
        offset = int(query.get("offset", 0))
        page = [self._shown(row, query, "lists") for row in self._window(rows, offset, limit)]
        if self.quirks.bare:
            return JSONResponse(page)
        total = offset + 2 * limit if self.quirks.loop else len(rows)
        total = limit if self.quirks.ends_early else total
        total = 0 if self.quirks.empty else total
        pagination = {"limit": limit, "offset": offset, "total": total}
        return JSONResponse({"pagination": pagination, "data": page})

    async def _read(self, request: Request) -> Response:
        self.check(request)
        return self._answer(self._task(request.path_params["id"]), request)

    async def _create(self, request: Request) -> Response:
        self.check(request)
        body = await self._body(request)
        if missing := [name for name in _REQUIRED if not body.get(name)]:
            raise HTTPException(422, f"{', '.join(missing)} is required.")
        relations: Raw = {"contacts": [], "assignee": None}
        return self._answer(self.make(**relations | body), request, 201)

    async def _update(self, request: Request) -> Response:
        self.check(request)
        body, task_id = await self._body(request), request.path_params["id"]
        return self._answer(self.change(task_id, **body), request)

    async def _body(self, request: Request) -> Raw:
        body = await self.note_write(request)
        if not isinstance(body, dict):
            raise HTTPException(422, "The body must be an object.")
        return body

    def _sorted(self, by: str) -> list[Raw]:
        name, _, direction = by.partition(":")
        if name != "due_date" or direction not in {"asc", "desc"}:
            raise HTTPException(400, f"order_by {by} is not supported.")
        return sorted(
            self.listed,
            key=lambda task: task["due_date"] or "",
            reverse=direction == "desc",
        )

    def _window(self, rows: list[Raw], offset: int, limit: int) -> list[Raw]:
        """The rows from an offset on, shifted by the quirks."""
        quirks = self.quirks
        if quirks.empty:
            return []
        if quirks.unpaged:
            return rows
        first = 0 if quirks.loop else max(0, offset - quirks.shift * -(-offset // limit))
        return rows[first : first + limit]

    def _answer(self, task: Raw, request: Request, status: int = 200) -> Response:
        shown = self._shown(task, request.query_params, "items")
        return JSONResponse(shown if self.quirks.bare else {"data": shown}, status)

    def _shown(self, task: Raw, query: Mapping[str, str], where: str) -> Raw:
        asked = "tags" in query.get("include", "").split(",")
        if asked and self.quirks.tags in {"always", where}:
            return task
        return {name: value for name, value in task.items() if name != "tags"}

    def _task(self, task_id: str) -> Raw:
        if task_id not in self.visible:
            raise HTTPException(404, "Task not found.")
        return self.tasks[task_id]


def _kept(name: str, value: Any) -> Any:
    """A field as it is shown: dates as text, relations as objects."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if name not in _RELATIONS or value is None:
        return value
    if isinstance(value, list):
        return [_related(name, one) for one in value]
    return _related(name, value)


def _related(name: str, value: Any) -> Raw:
    number = value["id"] if isinstance(value, dict) else str(value)
    if name == "tags":
        return {"id": number, "name": TAGS.get(number, number)}
    people = CONTACTS if name == "contacts" else USERS
    picture = "image_url" if name == "contacts" else "avatar_url"
    # The angle brackets stand in the vendor's own samples.
    address = f"<https://pictures.test/{number}.jpg>"
    return {"id": number, "full_name": people.get(number, number), picture: address}
