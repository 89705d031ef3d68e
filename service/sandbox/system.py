"""Common parts of the emulated systems."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.clock import Clock
from service.sandbox.faults import Faults

Raw: TypeAlias = dict[str, Any]

TOKEN = "sandbox"  # noqa: S105 (what the demo's accounts present; it opens nothing else)


@dataclass(frozen=True, slots=True)
class Quirks:
    """Behaviour that the vendor leaves open, or misbehaviour as of real systems.

    Any system:

    - `shift`: by how many rows the list moves between two pages
    - `loop`: every page is the first, and says that another follows
    - `unpaged`: the page parameter is ignored
    - `ends_early`: the list ends after its first page
    - `empty`: lists are empty
    - `blind`: the token has no rights: lists are empty, and no task is found by its id
    - `bare`: lists come without envelope, single items with one
    - `wrapped`: items are under their noun
    - `skew`: by how many seconds the clock is wrong
    - `per_minute`: how many calls are allowed, which responses then report

    Plannr:

    - `push`: the contents of webhooks: `whole`, `partial` or `hint`

    Kickserv:

    - `glue`: tasks include their job, customer and employees
    - `stamped`: tasks have their time of change
    - `completed_field`: the name of the time of completion
    - `names`: the account's names of fields, where they differ from those here

    LetsLigo:

    - `prefixed`: Hydra's words have their prefix
    - `totalled`: lists have a total
    - `lean`: lists leave out long fields

    Rolodex:

    - `tags`: included on request `always`, in `lists` only, or `never`

    Systems with links to pages:

    - `foreign_next`: the links lead to another origin
    """

    shift: int = 0
    loop: bool = False
    unpaged: bool = False
    ends_early: bool = False
    empty: bool = False
    blind: bool = False
    bare: bool = False
    wrapped: bool = False
    skew: float = 0.0
    per_minute: int | None = None
    foreign_next: bool = False
    push: str = "whole"
    glue: bool = True
    stamped: bool = True
    completed_field: str = "completed_on"
    names: Mapping[str, str] = field(default_factory=dict)
    prefixed: bool = True
    totalled: bool = True
    lean: bool = True
    tags: str = "always"


@dataclass(frozen=True, slots=True)
class Write:
    """A call that changed something, as it was received."""

    at: datetime
    method: str
    path: str
    body: Any


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that a real system would have sent to a customer or an employee."""

    at: datetime
    task_id: str
    notification: str


class SkewedClock:
    """The system's own clock, which may be wrong."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.skew = timedelta(0)

    def now(self) -> datetime:
        return self._clock.now() + self.skew


@dataclass(slots=True)
class Record:
    """The calls to a system, and their effects."""

    requests: list[str] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)


class System(ABC):
    """State that every emulated system has: clock, faults, quirks and a record of calls.

    `watched` is set when it has been read from.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = SkewedClock(clock)
        self.faults = Faults()
        self.quirks = Quirks()
        self.record = Record()
        self.watched = asyncio.Event()

    @abstractmethod
    def routes(self) -> list[Route]:
        """The supported calls."""

    async def refuse(self, request: Request, error: Exception) -> Response:
        """The response for an HTTPException."""
        del request
        if not isinstance(error, HTTPException):
            raise error
        return self.refusal(error)

    def refusal(self, error: HTTPException) -> Response:
        return JSONResponse({"message": error.detail}, error.status_code)

    def set_quirks(self, **quirks: Any) -> None:
        self.quirks = replace(self.quirks, **quirks)
        self.clock.skew = timedelta(seconds=self.quirks.skew)

    async def note_write(self, request: Request) -> Any:
        """Record a call that changes something; returns its body."""
        body = await request.json() if await request.body() else None
        write = Write(self.clock.now(), request.method, request.url.path, body)
        self.record.writes.append(write)
        return body


class TaskSystem(System):
    """A system with tasks, and the actions of its own users.

    `title` is its name for the title of a task, `when` for its date, which may be set to a
    datetime. Lists do not show `hidden` tasks, as if they were archived; the token has no rights to
    `forbidden` ones.
    """

    title: ClassVar[str] = "name"
    when: ClassVar[str] = "due"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.tasks: dict[str, Raw] = {}
        self.hidden: set[str] = set()
        self.forbidden: set[str] = set()

    @property
    def visible(self) -> dict[str, Raw]:
        """The tasks that the caller's token may see."""
        if self.quirks.blind:
            return {}
        if not self.forbidden:
            return self.tasks
        return {name: task for name, task in self.tasks.items() if name not in self.forbidden}

    @property
    def listed(self) -> list[Raw]:
        """The tasks that lists show, before any filter."""
        return [task for task_id, task in self.visible.items() if task_id not in self.hidden]

    @abstractmethod
    def make(self, **fields: Any) -> Raw:
        """A new task with these of its own fields."""

    @abstractmethod
    def change(self, task_id: str, **fields: Any) -> Raw:
        """Set fields of a task."""

    @abstractmethod
    def finish(self, task_id: str) -> Raw:
        """Mark a task done."""

    @abstractmethod
    def reopen(self, task_id: str) -> Raw:
        """Mark a task as not done."""

    @abstractmethod
    def delete(self, task_id: str) -> None:
        """Delete a task."""

    def whole(self, task_id: str) -> Raw:
        """A task with all its details, as in a webhook."""
        return self.tasks[task_id]

    def page(self, rows: list[Raw], number: int, per_page: int) -> list[Raw]:
        """One page of a list, changed by the quirks."""
        if self.quirks.empty or (self.quirks.ends_early and number > 1):
            return []
        if self.quirks.loop or self.quirks.unpaged:
            number = 1
        first = (number - 1) * (per_page - self.quirks.shift)
        return rows if self.quirks.unpaged else rows[first : first + per_page]
