"""The firm's task system: its own emulation without HTTP, and what really happened in it.

Taskbell's source for it is the real one: only its HTTP client is exchanged.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from service.clock import Clock
from service.errors import (
    OutcomeUnknown,
    SourceBroken,
    SourceRejected,
    SourceThrottled,
    SourceUnreachable,
)
from service.sandbox.kickserv import Kickserv, _from_words, _is_asked_for
from service.sandbox.system import Raw
from tests.simulation.network import Busy, Failed, Network, NoAnswer, NotReached

HOST = "the task system"


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that the system has sent to a customer.

    `then` is how the task was, `reads` when it was read by its id before Taskbell sent this, and as
    what.
    """

    at: datetime
    task: str
    kind: str
    then: Raw
    reads: Sequence[tuple[datetime, Raw | None]]

    def begins_in(self, raw: Raw) -> timedelta:
        """How long after the message the visit began, as its task was shown."""
        return datetime.fromisoformat(raw["scheduled_at"]) - self.at


class TaskSystem:
    """One account of the system.

    `truths` has of each task what it was, in order, and since when; None
    where it was deleted. `reads` has of each task when it was read by its id, and as what.
    """

    def __init__(self, clock: Clock) -> None:
        self.emulation = Kickserv(clock)
        self.clock = clock
        self.truths: dict[str, list[tuple[datetime, Raw | None]]] = defaultdict(list)
        self.reads: dict[str, list[tuple[datetime, Raw | None]]] = defaultdict(list)
        self.notifications: list[Notification] = []
        self.created: list[Raw] = []

    @property
    def tasks(self) -> Mapping[str, Raw]:
        return self.emulation.tasks

    def note(self, task_id: str) -> Raw | None:
        """Remember how the task is from now on; returns that."""
        raw = self.shown(task_id)
        self.truths[task_id].append((self.clock.now(), raw))
        return raw

    def shown(self, task_id: str) -> Raw | None:
        """The task's JSON as it is now."""
        task = self.emulation.tasks.get(task_id)
        if task is None:
            return None
        copy: Raw = orjson.loads(orjson.dumps(task))
        return copy

    def read(self, task_id: str) -> Raw:
        raw = self.shown(task_id)
        self.reads[task_id].append((self.clock.now(), raw))
        if raw is None:
            raise _no_such_task()
        return raw

    def list(self, query: Mapping[str, str]) -> list[Raw]:
        if int(query.get("page", 1)) > 1:
            return []
        rows = [one for one in self.emulation.listed if _is_asked_for(one, query)]
        return [raw for one in rows if (raw := self.shown(str(one["id"]))) is not None]

    def notify(self, task_id: str, kind: str, sent_at: datetime) -> Raw:
        raw = self.shown(task_id)
        if raw is None:
            raise _no_such_task()
        reads = [one for one in self.reads[task_id] if one[0] <= sent_at]
        told = Notification(self.clock.now(), task_id, kind, raw, reads)
        self.notifications.append(told)
        return {}

    def create(self, fields: Raw) -> Raw:
        made = self.emulation.make(**_from_words(fields))
        self.created.append(made)
        return self.note(str(made["id"])) or {}

    def update(self, task_id: str, fields: Raw) -> Raw:
        if task_id not in self.tasks:
            raise _no_such_task()
        self.emulation.change(task_id, **fields)
        return self.note(task_id) or {}


class Upstream:
    """What Taskbell's source takes for `SystemClient`: its calls go over the simulated network."""

    def __init__(self, system: TaskSystem, network: Network, clock: Clock) -> None:
        self.clock = clock
        self._system = system
        self._network = network

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        effect: bool = False,
    ) -> Any:
        """The answer's JSON; raises a SourceError, as the real one does."""
        sent_at = self._system.clock.now()

        def carry_out() -> Any:
            return self._answer(method, path.split("/")[2:], params or {}, json, sent_at)

        try:
            return await self._network.call(HOST, carry_out)
        except NotReached:
            raise SourceUnreachable(f"{HOST} could not be reached") from None
        except (NoAnswer, Failed) as error:
            kind = OutcomeUnknown if effect else SourceBroken
            raise kind(f"{HOST} failed: {type(error).__name__}") from None
        except Busy as error:
            pause = timedelta(seconds=error.seconds)
            raise SourceThrottled(f"{HOST} asks for a pause", retry_after=pause) from None

    def _answer(
        self,
        method: str,
        path: list[str],
        params: Mapping[str, Any],
        json: Any,
        sent_at: datetime,
    ) -> Any:
        match method, path:
            case "GET", ["tasks.json"]:
                return self._system.list({name: str(value) for name, value in params.items()})
            case "POST", ["tasks.json"]:
                return self._system.create(json["task"])
            case "POST", ["tasks", task_id, "notify.json"]:
                return self._system.notify(task_id, json["notification_type"], sent_at)
            case "GET", ["tasks", name]:
                return self._system.read(name.removesuffix(".json"))
            case "PUT", ["tasks", name]:
                return self._system.update(name.removesuffix(".json"), json["task"])
        raise AssertionError(f"nobody emulates {method} {path}")


def _no_such_task() -> SourceRejected:
    return SourceRejected(f"{HOST} has no such task", status=400, answer="Invalid job.")
