"""What a change of the configuration would bring about, before it is made. Nothing is changed.

What becomes of alarms, waits and deliveries is what the clock, the decider and the outbox do with
them: `service.watch`, `service.deciding`, `service.outbox.sending`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from service.rules import Ruleset


class Change(StrEnum):
    """What is done with a rule."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    SAME = "same"


class Fate(StrEnum):
    """What becomes of something that was to come.

    `STRANDED`: nobody looks at it until its account is in the configuration again.
    """

    KEPT = "kept"
    MOVED = "moved"
    LOST = "lost"
    NEW = "new"
    STRANDED = "stranded"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two configurations: its rules, and its accounts with their zones."""

    rules: Ruleset
    zones: Mapping[str, ZoneInfo]
    channels: frozenset[str] = frozenset()


@dataclass(slots=True)
class RulePlan:
    """What a change means for one rule.

    `lines` is the difference in its words, as YAML. `matching` tasks match it already and are
    passed over. `next_ring` is the first of its timers afterwards. `waits` and `deliveries` are
    what is pending now, by what becomes of it.
    """

    rule: str
    change: Change
    lines: Sequence[str] = ()
    matching: int = 0
    timers: Counter[Fate] = field(default_factory=Counter)
    next_ring: datetime | None = None
    waits: Counter[Fate] = field(default_factory=Counter)
    deliveries: Counter[Fate] = field(default_factory=Counter)

    @property
    def is_affected(self) -> bool:
        """Whether anything is different afterwards."""
        fates = (self.timers, self.waits, self.deliveries)
        return self.change is not Change.SAME or any(set(one) - {Fate.KEPT} for one in fates)


@dataclass(slots=True)
class Rollout:
    """The whole difference. `running` is None where nothing ever ran.

    `settings` are differences of what all rules share. `lanes_gone` are channels, and
    accounts as `account:NAME`, on which deliveries are pending that nobody would send any more.
    """

    running: str | None
    planned: str
    rules: list[RulePlan]
    settings: Sequence[str] = ()
    accounts_added: Sequence[str] = ()
    accounts_gone: Sequence[str] = ()
    lanes_gone: Sequence[str] = ()

    @property
    def is_nothing(self) -> bool:
        """Whether everything stays as it is."""
        others = (self.settings, self.accounts_added, self.accounts_gone, self.lanes_gone)
        return not any(others) and not any(one.is_affected for one in self.rules)
