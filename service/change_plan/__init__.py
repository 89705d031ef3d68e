"""`taskbell plan`: what a change of the configuration would do, told before it is made.

Nothing is changed. What becomes of alarms, waits, digests, deliveries and silences follows what
the clock (`service.domain.alarm_sets`), the decider (`service.engine.decider`) and the outbox
(`service.outbox.removal`) do when the new configuration is in force.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from service.rules import Ruleset


class Change(StrEnum):
    """How a rule differs between the two configurations."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    SAME = "same"


class PendingEffect(StrEnum):
    """What becomes of an alarm, a wait or a pending message."""

    KEPT = "kept"
    MOVED = "moved"
    LOST = "lost"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two configurations: its rules, the time zones of its accounts, its channels."""

    rules: Ruleset
    zones: Mapping[str, ZoneInfo]
    channels: frozenset[str] = frozenset()


@dataclass(slots=True)
class RulePlan:
    """What the new configuration means for one rule.

    `lines` is the difference as YAML, each line marked with a space, + or -. `matching` is how many
    tasks match it already and are passed over. `timers`, `waits`, `digests` and `deliveries` count
    what is pending, by what becomes of it; `next_ring` is when the first of its timers then rings
    (UTC).
    """

    rule: str
    change: Change
    lines: Sequence[str] = ()
    matching: int = 0
    timers: Counter[PendingEffect] = field(default_factory=Counter)
    next_ring: datetime | None = None
    waits: Counter[PendingEffect] = field(default_factory=Counter)
    digests: Counter[PendingEffect] = field(default_factory=Counter)
    deliveries: Counter[PendingEffect] = field(default_factory=Counter)

    @property
    def is_affected(self) -> bool:
        """Whether anything is different afterwards."""
        fates = (self.timers, self.waits, self.digests, self.deliveries)
        return self.change is not Change.SAME or any(
            set(one) - {PendingEffect.KEPT} for one in fates
        )


@dataclass(slots=True)
class ChangePlan:
    """The whole difference, between the version that is `running` and the `planned` one.

    `running` is None if nothing was ever loaded. `settings` is the difference, as YAML, in what all
    rules share. `lanes_gone` are channels, and accounts as `account:NAME`, that are taken out while
    deliveries are pending on them, which are then given up. `silences_ended` counts the silences on
    accounts that are gone, which end with them.
    """

    running: str | None
    planned: str
    rules: list[RulePlan]
    settings: Sequence[str] = ()
    accounts_added: Sequence[str] = ()
    accounts_gone: Sequence[str] = ()
    lanes_gone: Sequence[str] = ()
    silences_ended: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_nothing(self) -> bool:
        """Whether everything stays as it is."""
        others = (self.settings, self.accounts_added, self.accounts_gone, self.lanes_gone)
        return not any(others) and not any(one.is_affected for one in self.rules)
