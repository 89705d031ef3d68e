"""Overrides: a person switches a rule on, to trial or off, whatever the configuration says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self, TypeAlias

OffPeriods: TypeAlias = Mapping[str, Sequence[tuple[datetime, datetime]]]
"""When each rule was switched off by a person, and is not any more: beginnings and ends (UTC)."""
NEVER_OFF: OffPeriods = MappingProxyType({})


class Mode(StrEnum):
    """Whether a rule sends its messages, only records what it would have sent, or is ignored."""

    ON = "on"
    TRIAL = "trial"
    OFF = "off"


_SWITCHED = {Mode.ON: "switched on", Mode.TRIAL: "switched to trial", Mode.OFF: "switched off"}


@dataclass(frozen=True, slots=True)
class Override:
    """The mode that `by` has switched a rule to, `at` (UTC)."""

    mode: Mode
    by: str
    at: datetime
    reason: str | None = None

    @property
    def said(self) -> str:
        """Such as `switched to trial by bo at the command line (stocktaking)`."""
        return described(self.mode, self.by, self.reason)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Parse what `orjson` makes of one."""
        at = datetime.fromisoformat(raw["at"]).astimezone(UTC)
        return cls(Mode(raw["mode"]), raw["by"], at, raw["reason"])


def described(mode: Mode | None, by: str, reason: str | None) -> str:
    """What was done with a rule; None: it follows the file again."""
    what = "set to follow the file again" if mode is None else _SWITCHED[mode]
    return f"{what} by {by} ({reason})" if reason else f"{what} by {by}"
