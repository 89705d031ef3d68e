"""The difference between two configurations as text."""

from collections import Counter
from collections.abc import Iterator

from rich.markup import escape

from service.change_plan import Change, ChangePlan, PendingEffect, RulePlan
from service.outbox import account_lane

_SIGNS = {
    Change.ADDED: "[green]+[/green]",
    Change.REMOVED: "[red]-[/red]",
    Change.CHANGED: "[yellow]~[/yellow]",
    Change.SAME: " ",
}
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
_DIGESTS = {
    PendingEffect.KEPT: "kept; the new version of the rule decides",
    PendingEffect.LOST: "ended without a message",
}
_MESSAGES = {
    PendingEffect.KEPT: "sent as they were planned",
    PendingEffect.LOST: "cancelled, because their channel or account was removed",
}


def lines(found: ChangePlan) -> Iterator[str]:
    """The differences, rule by rule, and the counts at the end; for `rich`."""
    yield from (f"[green]+[/green] account {name}" for name in found.accounts_added)
    yield from _accounts_gone(found)
    others = {account_lane(name) for name in found.accounts_gone}
    yield from (
        f"[red]-[/red] channel {lane}, with messages pending"
        for lane in found.lanes_gone
        if lane not in others
    )
    if found.settings:
        yield "[yellow]~[/yellow] settings for all rules"
        yield from map(_difference, found.settings)
    for one in found.rules:
        if one.is_affected:
            yield from _rule(one)
    yield ""
    yield f"rules: {_counts(found)}"


def _accounts_gone(found: ChangePlan) -> Iterator[str]:
    for name in found.accounts_gone:
        pending = ", with messages pending" if account_lane(name) in found.lanes_gone else ""
        yield f"[red]-[/red] account {name}{pending}"
        if count := found.silences_ended.get(name):
            yield f"    {count:,} {'silence' if count == 1 else 'silences'} on it will end"


def _rule(one: RulePlan) -> Iterator[str]:
    yield f"{_SIGNS[one.change]} rule [bold]{one.rule}[/bold]"
    yield from map(_difference, one.lines)
    if one.matching:
        match = "task matches" if one.matching == 1 else "tasks match"
        them = "it" if one.matching == 1 else "them"
        yield f"    {one.matching:,} {match} already; the rule does not act on {them}"
    yield from _fates("alarms", one.timers, _TIMERS)
    if one.next_ring is not None:
        yield f"    next alarm: {one.next_ring.astimezone():%a %-d %b %Y, %H:%M}"
    yield from _fates("pending waits (settle, for)", one.waits, _WAITS)
    yield from _fates("digests", one.digests, _DIGESTS)
    yield from _fates("messages", one.deliveries, _MESSAGES)


def _fates(
    what: str, counts: Counter[PendingEffect], words: dict[PendingEffect, str]
) -> Iterator[str]:
    told = [f"{counts[fate]:,} {says}" for fate, says in words.items() if counts[fate]]
    if told:
        yield f"    {what}: {', '.join(told)}"


def _difference(line: str) -> str:
    style = {"+": "green", "-": "red"}.get(line[:1], "dim")
    return f"    [{style}]{escape(line)}[/{style}]"


def _counts(found: ChangePlan) -> str:
    counts = Counter(one.change for one in found.rules)
    return ", ".join(f"{counts[one]} {one}" for one in Change if counts[one])
