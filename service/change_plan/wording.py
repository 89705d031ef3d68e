"""What happens to alarms, waits, digests and messages, in sentences."""

from collections import Counter
from collections.abc import Iterator

from service.change_plan import PendingEffect, RulePlan

_TIMERS = {
    PendingEffect.KEPT: "kept",
    PendingEffect.MOVED: "moved to another time",
    PendingEffect.LOST: "cancelled",
    PendingEffect.NEW: "new",
}
_WAITS = {
    PendingEffect.KEPT: "kept; the new version of the rule decides",
    PendingEffect.LOST: "ended without a message",
}
_MESSAGES = {
    PendingEffect.KEPT: "sent as they were planned",
    PendingEffect.LOST: "cancelled, because their channel or account was removed",
}


def matching(one: RulePlan) -> Iterator[str]:
    """How many tasks the rule ignores because they match already."""
    if one.matching:
        match = "task matches" if one.matching == 1 else "tasks match"
        them = "it" if one.matching == 1 else "them"
        yield f"{one.matching:,} {match} already; the rule does not act on {them}"


def alarms(one: RulePlan) -> Iterator[str]:
    """What happens to the rule's alarms."""
    yield from _effects("alarms", one.timers, _TIMERS)


def pending(one: RulePlan) -> Iterator[str]:
    """What happens to waits, digests and messages that the rule has begun."""
    yield from _effects("pending waits (settle, for)", one.waits, _WAITS)
    yield from _effects("digests", one.digests, _WAITS)
    yield from _effects("messages", one.deliveries, _MESSAGES)


def _effects(
    what: str, counts: Counter[PendingEffect], words: dict[PendingEffect, str]
) -> Iterator[str]:
    told = [f"{counts[effect]:,} {says}" for effect, says in words.items() if counts[effect]]
    if told:
        yield f"{what}: {', '.join(told)}"
