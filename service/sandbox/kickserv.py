"""An emulated Kickserv."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import count
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service.clock import Clock
from service.sandbox.system import TOKEN, Notification, Raw, TaskSystem

SLUG = "acme"
ZONE = ZoneInfo("America/New_York")
LARGEST_PAGE = 100

# What no system should hand out and this one does; wherever one turns up, something leaked.
PLANTED = {
    "password_salt": "planted-salt-7Q",
    "encrypted_password": "planted-hash-7Q",
    "remember_token": "planted-remember-7Q",
}
_BASIC = "Basic " + b64encode(f"{TOKEN}:{TOKEN}".encode()).decode()
_REFUSED = "<errors><error>Invalid Username, Account or password.</error></errors>"
_UNAUTHORIZED, _UNPROCESSABLE = 401, 422
_REQUIRED = ("name", "job_id", "task_type_id")


class Kickserv(TaskSystem):
    """One account's tasks, and the notifications to its customers and employees."""

    when: ClassVar[str] = "scheduled_at"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._numbers = count(2357911)

    def make(self, **fields: Any) -> Raw:
        """A new task with these fields; `scheduled_at` and `ends_at` may be datetimes."""
        number = int(fields.pop("id", None) or next(self._numbers))
        now = _local(self.clock.now())
        task = {
            "id": number,
            "name": "Clean the gutters",
            "description": None,
            "scheduled_at": now,
            "ends_at": None,
            self.quirks.completed_field: None,
            "created_at": now,
            "task_type_id": 1,
            "job": {"id": 34769012, "job_number": 1701, "name": "Gutters", "status": "scheduled"},
            "customer": customer("Ida Smith"),
            "contact": None,
            "employees": [employee("Bo Reed")],
        }
        self.tasks[str(number)] = task
        self._set(task, fields)
        return task

    def change(self, task_id: str, **fields: Any) -> Raw:
        task = self._task(task_id)
        self._set(task, fields)
        return task

    def finish(self, task_id: str) -> Raw:
        now, name = self.clock.now().astimezone(ZONE), self.quirks.completed_field
        value = now.date().isoformat() if name.endswith("_on") else _local(now)
        return self.change(task_id, **{name: value})

    def reopen(self, task_id: str) -> Raw:
        return self.change(task_id, **{self.quirks.completed_field: None})

    def delete(self, task_id: str) -> None:
        self._task(task_id)
        del self.tasks[task_id]

    def routes(self) -> list[Route]:
        one = f"/{SLUG}/tasks/{{id}}.json"
        return [
            Route(f"/{SLUG}/tasks.json", self._list),
            Route(f"/{SLUG}/tasks.json", self._create, methods=["POST"]),
            Route(f"/{SLUG}/tasks/job_list.json", self._jobs),
            Route(f"/{SLUG}/tasks/{{id}}/notify.json", self._notify, methods=["POST"]),
            Route(one, self._read),
            Route(one, self._update, methods=["PUT", "PATCH"]),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"/{SLUG}/tasks/{{id}}", self._open),
        ]

    def check(self, request: Request) -> None:
        """Authenticate the caller; raises HTTPException."""
        if request.headers.get("authorization") != _BASIC:
            raise HTTPException(401, _REFUSED)

    def refusal(self, error: HTTPException) -> Response:
        """XML for authentication errors, whatever was requested; else JSON or text."""
        if error.status_code == _UNAUTHORIZED:
            return Response(error.detail, error.status_code, media_type="application/xml")
        if error.status_code == _UNPROCESSABLE:
            return JSONResponse({"errors": [error.detail]}, error.status_code)
        return PlainTextResponse(error.detail, error.status_code)

    async def _list(self, request: Request) -> Response:
        self.check(request)
        query = request.query_params
        rows = [task for task in self.listed if _is_asked_for(task, query)]
        number, per_page = int(query.get("page", 1)), int(query.get("per_page", 25))
        page = self.page(rows, number, min(per_page, LARGEST_PAGE))
        return JSONResponse([self._shown(task) for task in page])

    async def _jobs(self, request: Request) -> Response:
        self.check(request)
        wanted = request.query_params.get("customer_id")
        tasks = [task for task in self.tasks.values() if str(task["customer"]["id"]) == wanted]
        jobs = {str(task["job"]["id"]): task["job"] for task in tasks}
        return JSONResponse(
            [{name: job[name] for name in ("id", "name", "status")} for job in jobs.values()]
        )

    async def _read(self, request: Request) -> Response:
        self.check(request)
        return JSONResponse(self._shown(self._task(request.path_params["id"])))

    async def _open(self, request: Request) -> Response:
        """What stands in for the page of a task, to which links lead people."""
        name = self._task(request.path_params["id"])["name"]
        return PlainTextResponse(f"{name}\n\nIn Kickserv, this would be the page of the task.\n")

    async def _create(self, request: Request) -> Response:
        self.check(request)
        fields = await self._fields(request)
        if missing := [name for name in _REQUIRED if not fields.get(name)]:
            raise HTTPException(422, f"{', '.join(missing)} can't be blank")
        return JSONResponse(self._shown(self.make(**_from_words(fields))))

    async def _update(self, request: Request) -> Response:
        self.check(request)
        fields = await self._fields(request)
        fields.pop("employee_ids", None)
        return JSONResponse(self._shown(self.change(request.path_params["id"], **fields)))

    async def _delete(self, request: Request) -> Response:
        self.check(request)
        await self.note_write(request)
        task = self._task(request.path_params["id"])
        self.delete(request.path_params["id"])
        return JSONResponse(self._shown(task))

    async def _notify(self, request: Request) -> Response:
        self.check(request)
        body = await request.json() if await request.body() else {}
        task = self._task(request.path_params["id"])
        kind = body.get("notification_type", "employee")
        if kind not in {"employee", "details", "on_the_way"}:
            raise HTTPException(422, f"{kind} is not a notification type")
        told = Notification(self.clock.now(), str(task["id"]), kind)
        self.record.notifications.append(told)
        return JSONResponse({})

    async def _fields(self, request: Request) -> Raw:
        body = await self.note_write(request)
        if not isinstance(body, dict) or not isinstance(body.get("task"), dict):
            raise HTTPException(422, "param is missing or the value is empty: task")
        known = {shown: name for name, shown in self.quirks.names.items()}
        fields = {known.get(name, name): value for name, value in body["task"].items()}
        if (ids := fields.get("employee_ids")) is not None:
            fields["employees"] = [self._employee(one) for one in ids]
        return fields

    def _employee(self, number: Any) -> Raw:
        """An employee of the firm, as far as a task has told of them."""
        found = (one for task in self.tasks.values() for one in task["employees"])
        return next((one for one in found if str(one["id"]) == str(number)), {"id": number})

    def _task(self, task_id: str) -> Raw:
        if task_id not in self.visible:
            raise HTTPException(400, "Invalid job.")
        return self.tasks[task_id]

    def _set(self, task: Raw, fields: Raw) -> None:
        moments = {k: _local(v) for k, v in fields.items() if isinstance(v, datetime)}
        task |= {**fields, **moments, "updated_at": _local(self.clock.now())}

    def _shown(self, task: Raw) -> Raw:
        if not self.quirks.stamped:
            task = {name: task[name] for name in task if name != "updated_at"}
        if not self.quirks.glue:
            task = {name: task[name] for name in task if not isinstance(task[name], dict | list)}
        names = self.quirks.names
        task = {names.get(name, name): value for name, value in task.items()}
        return {"task": task} if self.quirks.wrapped else task


def employee(name: str, number: int = 4) -> Raw:
    """An employee, including fields that should not be in the response."""
    first, _, last = name.partition(" ")
    return {
        "id": 846780 + number,
        "employee_number": number,
        "first_name": first,
        "last_name": last,
        "email": f"{first}.{last}@field.test".lower(),
        **PLANTED,
    }


def customer(name: str, number: int = 13579, tags: Iterable[str] = (), **own: Any) -> Raw:
    """A customer with addresses, tags, and fields of the account's own."""
    mail = name.lower().replace(" ", ".") + "@customer.test"
    return {
        "id": number,
        "name": name,
        "email": mail,
        "phone": "+1 415 555 0100",
        "tags": [{"id": 100 + place, "name": tag} for place, tag in enumerate(tags)],
        **own,
    }


def _is_asked_for(task: Raw, query: Mapping[str, str]) -> bool:
    """The documented filters."""
    numbers = [str(one["employee_number"]) for one in task["employees"]]
    return (
        _is_within(task["scheduled_at"], query.get("from"), query.get("to"))
        and query.get("job_id") in (None, str(task["job"]["id"]))
        and query.get("employee_number") in (None, *numbers)
    )


def _is_within(scheduled: str | None, first: str | None, end: str | None) -> bool:
    """Whether a task starts in a window; the day `to` is excluded."""
    day = (scheduled or "")[:10]
    return (first is None or first <= day) and (end is None or "" < day < end)


def _from_words(fields: Raw) -> Raw:
    """The fields of a write under the names of a read."""
    links = ("job_id", "customer_id", "employee_ids", "duration")
    job = {"id": fields["job_id"], "job_number": 1702, "name": "Repair", "status": "new"}
    return {"job": job, **{name: fields[name] for name in fields if name not in links}}


def _local(moment: datetime) -> str:
    return moment.astimezone(ZONE).replace(microsecond=0).isoformat()
