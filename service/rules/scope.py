"""What one event means to expressions and templates: built once, and shared by all rules."""

from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from cel_expr_python.cel import Activation

from service.model import Event, Task
from service.rules.expressions import UTC_ZONE, environment
from service.rules.reads import ByNoun
from service.rules.vocabulary import as_message, as_values


class Scope:
    """An event at a moment (UTC) in an account's zone; `reads` is what any rule looks at."""

    def __init__(self, event: Event, now: datetime, zone: ZoneInfo, reads: ByNoun) -> None:
        self.event = event
        self.now = now
        self.zone = zone
        self._reads = reads

    @cached_property
    def activation(self) -> Activation:
        things = {"task": self.event.task, "before": self._before, "event": self.event}
        data = {noun: as_message(things[noun], read) for noun, read in self._reads.items()}
        return environment(self.zone).Activation({**data, "now": self.now})

    @cached_property
    def values(self) -> dict[str, Any]:
        return {
            "task": as_values(self.event.task),
            "before": as_values(self._before),
            "event": as_values(self.event),
            "now": self.now,
            "zone": self.zone,
        }

    @property
    def _before(self) -> Task:
        """The task before; where there was none, one of which nothing is known."""
        return self.event.before or Task(id="", account="", system="")


def lasting(task: Task, now: datetime, reads: ByNoun) -> Activation:
    """What is still known of a task after its event: what `until` is asked with."""
    data = {noun: as_message(task, read) for noun, read in reads.items()}
    return environment(UTC_ZONE).Activation({**data, "now": now})
