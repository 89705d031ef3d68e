"""The values of one event for expressions and templates: built once for all rules."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from cel_expr_python.cel import Activation

from service.domain.digests import Group
from service.domain.model import Event, Task
from service.rules.language.expressions import UTC_ZONE, environment
from service.rules.language.field_reads import ByNoun
from service.rules.language.vocabulary import NO_ZONES, NOUNS, as_message, as_values
from service.rules.verdict import PLACEHOLDERS


class Scope:
    """An event, the time at which rules are evaluated (UTC), and the account's zone.

    `reads` are the fields that any of the rules reads. `group` has the tasks of a digest, and
    `zones` those of their accounts: a day is a day there.
    """

    def __init__(
        self,
        event: Event,
        now: datetime,
        zone: ZoneInfo,
        reads: ByNoun,
        group: Group | None = None,
        zones: Mapping[str, ZoneInfo] = NO_ZONES,
    ) -> None:
        self._zones = zones
        self.event = event
        self.now = now
        self.zone = zone
        self.group = group
        self._reads = reads
        self._values: dict[str, Any] = {"now": now, "zone": zone}

    @cached_property
    def activation(self) -> Activation:
        data = {noun: as_message(self._noun(noun), read) for noun, read in self._reads.items()}
        return environment(self.zone).Activation({**data, "now": self.now})

    def values(self, nouns: Iterable[str]) -> dict[str, Any]:
        """The values for a template that uses these nouns, such as `task`."""
        wanted = frozenset(nouns)
        for noun in wanted & NOUNS.keys() - self._values.keys():
            self._values[noun] = as_values(self._noun(noun), self.zone, self._zones)
        # Only a text that may speak of them is given what stands for them.
        asked = wanted & PLACEHOLDERS.keys()
        return (
            {**self._values, **{name: PLACEHOLDERS[name] for name in asked}}
            if asked
            else (self._values)
        )

    def _noun(self, name: str) -> Task | Event | Group:
        """The value of a name; without a task `before`, an empty one."""
        if name == "event":
            return self.event
        if name == "task":
            return self.event.task
        if name == "group" and self.group is not None:
            return self.group
        return self.event.before or Task(id="", account="", system="")


def lasting(task: Task, now: datetime, reads: ByNoun) -> Activation:
    """The scope for `until`: what is still known of a task after its event."""
    data = {noun: as_message(task, read) for noun, read in reads.items()}
    return environment(UTC_ZONE).Activation({**data, "now": now})
