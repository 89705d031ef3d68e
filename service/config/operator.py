"""The operator, who gets messages about Taskbell itself: `operator: slack:#ops`."""

from dataclasses import dataclass

from service.diagnostics import Issue, Path, did_you_mean
from service.domain.system_actions import BUILT_IN
from service.rules.capabilities import Capabilities

_PATH: Path = ("operator",)


@dataclass(frozen=True, slots=True)
class Operator:
    """A configured channel, and its target; "" if it needs none."""

    channel: str
    target: str


def read_operator(text: str, offered: Capabilities) -> tuple[Operator, list[Issue]]:
    """The operator, written as in a rule's `notify`, and the problems."""
    channel, _, target = text.partition(":")
    return Operator(channel, target), [
        Issue(_PATH, message, hint) for message, hint in _faults(channel, target, offered)
    ]


def _faults(channel: str, target: str, offered: Capabilities) -> list[tuple[str, str | None]]:
    way = offered.way(channel)
    if channel in BUILT_IN:
        message = (
            f"operator cannot use {channel}:"
            " it depends on an account, and that account may be the one that fails"
        )
        return [(message, "use one of your channels, such as slack:#ops")]
    if way is None:
        return [(f"there is no channel {channel}", did_you_mean(channel, offered.ways))]
    if way.needs_target and not target:
        return [
            (
                f"{channel} needs a target",
                f"write {channel}:TARGET, such as slack:#ops or email:bo@example.com",
            )
        ]
    if "{{" in target:
        message = "operator cannot depend on a task"
        return [(message, "write a fixed recipient, such as slack:#ops")]
    if target and (problem := way.target_problem(target)) is not None:
        return [(f"{channel}: {problem}", None)]
    return []
