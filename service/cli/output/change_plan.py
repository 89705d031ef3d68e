"""The difference between two configurations as text."""

from collections import Counter
from collections.abc import Iterator

from rich.markup import escape

from service.change_plan import Change, ChangePlan, RulePlan
from service.change_plan.wording import alarms, matching, pending
from service.outbox import account_lane

_SIGNS = {
    Change.ADDED: "[green]+[/green]",
    Change.REMOVED: "[red]-[/red]",
    Change.CHANGED: "[yellow]~[/yellow]",
    Change.SAME: " ",
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
    yield from (f"    {line}" for line in (*matching(one), *alarms(one)))
    if one.next_ring is not None:
        yield f"    next alarm: {one.next_ring.astimezone():%a %-d %b %Y, %H:%M %Z}"
    yield from (f"    {line}" for line in pending(one))


def _difference(line: str) -> str:
    style = {"+": "green", "-": "red"}.get(line[:1], "dim")
    return f"    [{style}]{escape(line)}[/{style}]"


def _counts(found: ChangePlan) -> str:
    counts = Counter(one.change for one in found.rules)
    return ", ".join(f"{counts[one]} {one}" for one in Change if counts[one])
