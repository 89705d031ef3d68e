"""An emulated LetsLigo: API Platform with tasks and their contacts."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.clock import Clock
from service.sandbox.system import TOKEN, Raw, TaskSystem

TASKS = "/api/contact_tasks"
CONTACTS = "/api/contacts"
WORKSPACE = "acme"
PER_PAGE, LARGEST_PAGE = 30, 500

_ONLY_ALONE = ("description", "taskKind", "payload", "completedAt")
_UNAUTHORIZED = 401


class LetsLigo(TaskSystem):
    """One workspace's tasks, and its contacts."""

    title: ClassVar[str] = "title"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.contacts: dict[str, Raw] = {}

    def make(self, **fields: Any) -> Raw:
        """A new task with these fields; `due` may be a datetime in place of `dueDate`.

        `contact` is a contact's id, or the fields of a new one.
        """
        uuid = str(fields.pop("id", None) or uuid4())
        task: Raw = {
            "id": uuid,
            "title": "Appeler pour suivi",
            "type": "call",
            "taskKind": "manual",
            "payload": None,
            "description": "Relance après meeting salon",
            "dueDate": _stamp(self.clock.now()),
            "completed": False,
            "completedAt": None,
        }
        self.tasks[uuid] = task
        self._set(task, {"contact": {}, **fields})
        return task

    def change(self, task_id: str, **fields: Any) -> Raw:
        task = self._task(task_id)
        self._set(task, fields)
        return task

    def finish(self, task_id: str) -> Raw:
        return self.change(task_id, completed=True, completedAt=_stamp(self.clock.now()))

    def reopen(self, task_id: str) -> Raw:
        return self.change(task_id, completed=False, completedAt=None)

    def delete(self, task_id: str) -> None:
        self._task(task_id)
        del self.tasks[task_id]

    def whole(self, task_id: str) -> Raw:
        """A task with its contact, whom LetsLigo itself only refers to."""
        task = self.tasks[task_id]
        contact = {"id": task["contact"], **self.contacts[task["contact"]]}
        return {**task, "contact": contact}

    def meet(self, **fields: Any) -> str:
        """A new contact with these fields; returns its id."""
        uuid = str(fields.pop("id", None) or uuid4())
        name = fields.pop("name", "Marie Dubois")
        mail = f"{name}@contact.test".lower().replace(" ", ".")
        contact = {"name": name, "company": "Acme Corp", "emails": [mail], "phones": []}
        self.contacts[uuid] = {**contact, **fields}
        return uuid

    def routes(self) -> list[Route]:
        return [
            Route(TASKS, self._list),
            Route(f"{TASKS}/{{id}}", self._read),
            Route(f"{CONTACTS}/{{id}}", self._read_contact),
        ]

    def check(self, request: Request) -> None:
        """Authenticate the caller; raises HTTPException."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise HTTPException(401, "Invalid API token.")
        if request.headers.get("x-workspace-slug", WORKSPACE) != WORKSPACE:
            raise HTTPException(403, "Access Denied.")

    def refusal(self, error: HTTPException) -> Response:
        """The firewall's format for authentication errors; else Hydra's, or that of RFC 7807."""
        status, detail = error.status_code, error.detail
        if status == _UNAUTHORIZED:
            return JSONResponse({"code": status, "message": detail}, status)
        if not self.quirks.prefixed:
            problem = {"type": f"/errors/{status}", "title": "An error occurred", "detail": detail}
            return JSONResponse(problem, status, media_type="application/problem+json")
        said = {"hydra:title": "An error occurred", "hydra:description": detail}
        return _json_ld({"@type": "hydra:Error", **said}, status)

    async def _list(self, request: Request) -> Response:
        self.check(request)
        query = request.query_params
        number, per_page = int(query.get("page", 1)), int(query.get("itemsPerPage", PER_PAGE))
        page = self.page(self.listed, number, min(per_page, LARGEST_PAGE))
        members = [self._shown(task, request, lean=self.quirks.lean) for task in page]
        if self.quirks.bare:
            return JSONResponse(members)
        return _json_ld(self._collection(request, members, number, per_page))

    def _collection(self, request: Request, members: list[Raw], number: int, per_page: int) -> Raw:
        prefix = "hydra:" if self.quirks.prefixed else ""
        # As if what moves the pages were tasks that are made or deleted meanwhile.
        total = 0 if self.quirks.empty else len(self.listed) + self.quirks.shift * (number - 1)
        collection: Raw = {
            "@context": "/api/contexts/ContactTask",
            "@id": request.url.path,
            "@type": f"{prefix}Collection",
            f"{prefix}member": members,
        }
        if self.quirks.totalled:
            collection[f"{prefix}totalItems"] = total
        last = number + 1 if self.quirks.loop else -(-total // per_page)
        if last > 1:
            collection[f"{prefix}view"] = self._view(request.url, number, last)
        return collection

    def _view(self, url: URL, number: int, last: int) -> Raw:
        """Links to the pages around this one; paths, as API Platform writes them."""
        prefix = "hydra:" if self.quirks.prefixed else ""
        pages = {"first": 1, "last": last}
        if number > 1:
            pages["previous"] = number - 1
        if number < last and not self.quirks.ends_early:
            pages["next"] = number + 1
        links = {f"{prefix}{name}": self._link(url, page) for name, page in pages.items()}
        itself = {"@id": self._link(url, number), "@type": f"{prefix}PartialCollectionView"}
        return {**itself, **links}

    def _link(self, url: URL, number: int) -> str:
        there = url.include_query_params(page=number)
        if self.quirks.foreign_next:
            return str(there.replace(scheme="https", netloc="elsewhere.invalid"))
        return f"{there.path}?{there.query}"

    async def _read(self, request: Request) -> Response:
        self.check(request)
        task = self._task(request.path_params["id"])
        return _json_ld(self._shown(task, request, lean=False))

    async def _read_contact(self, request: Request) -> Response:
        self.check(request)
        contact = self.contacts.get(request.path_params["id"])
        if contact is None:
            raise HTTPException(404, "Not Found")
        return _json_ld({"@id": request.url.path, "@type": "Contact", **contact})

    def _shown(self, task: Raw, request: Request, *, lean: bool) -> Raw:
        """A task without null values, with IRIs that include the path of the emulation."""
        root = request.scope.get("root_path", "")
        left_out = {"id", "contact", *(_ONLY_ALONE if lean else ())}
        shown = {k: v for k, v in task.items() if v is not None and k not in left_out}
        if task["contact"] is not None:
            shown["contact"] = f"{root}{CONTACTS}/{task['contact']}"
        if self.quirks.bare:
            return {"id": task["id"], **shown}
        return {"@id": f"{root}{TASKS}/{task['id']}", "@type": "ContactTask", **shown}

    def _task(self, task_id: str) -> Raw:
        if task_id not in self.visible:
            raise HTTPException(404, "Not Found")
        return self.tasks[task_id]

    def _set(self, task: Raw, fields: Raw) -> None:
        if "due" in fields:
            fields["dueDate"] = _stamp(fields.pop("due"))
        if isinstance(fields.get("contact"), dict):
            fields["contact"] = self.meet(**fields["contact"])
        task |= fields


def _json_ld(content: Raw, status: int = 200) -> Response:
    return JSONResponse(content, status, media_type="application/ld+json; charset=utf-8")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
