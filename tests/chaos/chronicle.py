"""What the tasks of a system really were, one state after the other, whoever changed them."""

from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

import orjson

from service.domain.model import Cause
from service.sandbox.system import TaskSystem
from service.sources import Source
from tests.harness.office import shown

Given = ParamSpec("Given")
Returned = TypeVar("Returned")


class Chronicle:
    """Looks at every task of a system after each change, also after those that Taskbell makes.

    `history` has what events are made of, by the task's id; None while it is not there. `since` has
    from when on each of it was so (UTC).
    """

    def __init__(self, system: TaskSystem, source: Source) -> None:
        self.system = system
        self.source = source
        self.history: dict[str, list[Any]] = {}
        self.since: dict[str, list[datetime]] = {}
        system.make = self._noted(system.make)  # type: ignore[method-assign]
        system.change = self._noted(system.change)  # type: ignore[method-assign]
        system.finish = self._noted(system.finish)  # type: ignore[method-assign]
        system.delete = self._noted(system.delete)  # type: ignore[method-assign]

    def now(self, task_id: str) -> Any:
        """How the task is; None if it is not there."""
        if task_id not in self.system.tasks:
            return None
        raw = self.source.trim(self.system.whole(task_id))
        seen = self.source.observe(raw, self.system.clock.now(), Cause.POLL)
        return shown(orjson.loads(seen.task.to_json())) if seen.task else None

    def between(self, task_id: str, begin: datetime, end: datetime) -> list[Any]:
        """Everything that a task was in that time."""
        since = self.since[task_id]
        first = max(bisect_right(since, begin) - 1, 0)
        return self.history[task_id][first : bisect_right(since, end)]

    def _noted(self, verb: Callable[Given, Returned]) -> Callable[Given, Returned]:
        def done(*given: Given.args, **named: Given.kwargs) -> Returned:
            returned = verb(*given, **named)
            self._note()
            return returned

        return done

    def _note(self) -> None:
        for task_id in self.system.tasks.keys() | self.history.keys():
            states, state = self.history.setdefault(task_id, []), self.now(task_id)
            if states[-1:] != [state]:
                states.append(state)
                self.since.setdefault(task_id, []).append(datetime.now(UTC))
