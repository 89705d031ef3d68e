"""What the emulated systems have in common."""

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
    """How a system behaves where its makers leave it open, or misbehaves as systems do.

    Any system:

    - `shift`: by how many rows the list moves between two pages
    - `loop`: every page is the first, and says that another follows
    - `unpaged`: the page asked for is ignored
    - `ends_early`: the list ends after its first page
    - `empty`: lists are empty
    - `blind`: the token may see nothing: lists are empty, and no task is there by its id
    - `bare`: lists come without envelope, single items with one
    - `wrapped`: items are under their noun
    - `skew`: by how many seconds the clock is wrong
    - `per_minute`: how many calls are allowed, which answers then tell

    Plannr: `push` is what a webhook carries: `whole`, `partial` or `hint`. Kickserv: `glue`, tasks
    carry their job, customer and employees; `stamped`, they say when they were changed;
    `completed_field`, what the moment is called at which they were done; `names`, what the account
    calls fields that are otherwise called as here. LetsLigo: `prefixed`,
    Hydra's words have their prefix; `totalled`, lists say how many there are; `lean`, lists leave
    out what is long. Rolodex: `tags` come along when asked for `always`, in `lists` only, or
    `never`. Whoever has links to pages: `foreign_next`, they lead to another origin.
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
    """A call that changed something, as it came in."""

    at: datetime
    method: str
    path: str
    body: Any


@dataclass(frozen=True, slots=True)
class Notification:
    """Somebody was told: what a real system would have sent to a customer or an employee."""

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
    """What a system saw and did."""

    requests: list[str] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)


class System(ABC):
    """State that every emulated system has: clock, faults, quirks and a record of calls.

    `watched` is set when somebody has read from it.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = SkewedClock(clock)
        self.faults = Faults()
        self.quirks = Quirks()
        self.record = Record()
        self.watched = asyncio.Event()

    @abstractmethod
    def routes(self) -> list[Route]:
        """The calls that it understands."""

    async def refuse(self, request: Request, error: Exception) -> Response:
        """How it words an HTTPException."""
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
    """A system that keeps tasks, and what its own people do to them.

    `title` is its own name for what a task is called, `when` one for when it is, which may be set
    to a moment. Of `hidden` tasks lists show nothing, as of archived ones; for `forbidden` ones the
    token has no rights.
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
        """Take back that a task is done."""

    @abstractmethod
    def delete(self, task_id: str) -> None:
        """Throw a task away."""

    def whole(self, task_id: str) -> Raw:
        """A task with all that there is to it, as somebody would push it."""
        return self.tasks[task_id]

    def page(self, rows: list[Raw], number: int, per_page: int) -> list[Raw]:
        """One page of a list, as far as the quirks let it be the right one."""
        if self.quirks.empty or (self.quirks.ends_early and number > 1):
            return []
        if self.quirks.loop or self.quirks.unpaged:
            number = 1
        first = (number - 1) * (per_page - self.quirks.shift)
        return rows if self.quirks.unpaged else rows[first : first + per_page]
