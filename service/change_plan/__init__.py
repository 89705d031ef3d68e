"""`taskbell plan`: shows the effects of a changed configuration before it is loaded.

Nothing is changed. The effects on alarms, waits, digests, deliveries and silences follow what the
alarms (`service.domain.alarm_sets`), the decider (`service.engine.decider`) and the outbox
(`service.outbox.removal`) do when the new configuration is active.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from service.domain.operators.overrides import Override
from service.rules.ruleset import Ruleset


class Change(StrEnum):
    """How a rule differs between the two configurations."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    SAME = "same"


class PendingEffect(StrEnum):
    """The effect on an alarm, a wait or a pending message."""

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
    """The effects of the new configuration on one rule.

    - `lines`: the difference as YAML, each line marked with a space, + or -
    - `matching`: how many tasks already match it and are ignored
    - `timers`, `waits`, `digests`, `deliveries`: the numbers of pending ones, by effect
    - `next_ring`: when the first of its timers fires then (UTC)
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
        """Whether it has any effect."""
        fates = (self.timers, self.waits, self.digests, self.deliveries)
        return self.change is not Change.SAME or any(
            set(one) - {PendingEffect.KEPT} for one in fates
        )


@dataclass(slots=True)
class ChangePlan:
    """The whole difference between the version that is `running` and the `planned` one.

    - `running`: None if no configuration was ever loaded
    - `settings`: the difference, as YAML, in what all rules share
    - `lanes_gone`: removed channels, and accounts as `account:NAME`, with pending deliveries, which
      are then cancelled
    - `silences_ended`: the number of silences on removed accounts, which end with them
    - `overrides`: the modes of rules that take precedence over both, by rule
    """

    running: str | None
    planned: str
    rules: list[RulePlan]
    settings: Sequence[str] = ()
    accounts_added: Sequence[str] = ()
    accounts_gone: Sequence[str] = ()
    lanes_gone: Sequence[str] = ()
    silences_ended: Mapping[str, int] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing changes."""
        others = (self.settings, self.accounts_added, self.accounts_gone, self.lanes_gone)
        return not any(others) and not any(one.is_affected for one in self.rules)
