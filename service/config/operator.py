"""Whom Taskbell tells how it does itself: `operator: slack:#ops` in the configuration."""

from dataclasses import dataclass

from service.diagnostics import Issue, Path, did_you_mean
from service.domain.system_actions import BUILT_IN
from service.rules.capabilities import Capabilities

_PATH: Path = ("operator",)


@dataclass(frozen=True, slots=True)
class Operator:
    """A configured channel, and whom or where in it; "" where it needs no target."""

    channel: str
    target: str


def read_operator(text: str, offered: Capabilities) -> tuple[Operator, list[Issue]]:
    """The operator, written as in a rule's `notify`, and what is wrong with it."""
    channel, _, target = text.partition(":")
    return Operator(channel, target), [
        Issue(_PATH, message, hint) for message, hint in _faults(channel, target, offered)
    ]


def _faults(channel: str, target: str, offered: Capabilities) -> list[tuple[str, str | None]]:
    way = offered.way(channel)
    if channel in BUILT_IN:
        return [(f"{channel} goes by an account, and that may be what fails", "name a channel")]
    if way is None:
        return [(f"there is no channel {channel}", did_you_mean(channel, offered.ways))]
    if way.needs_target and not target:
        return [(f"{channel} needs a target", f"write {channel}:… with whom or where")]
    if "{{" in target:
        return [("the operator is always the same, whatever the task", "write it out")]
    return []
