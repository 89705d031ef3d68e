"""Formats explanations: a paragraph for each rule, and the values below each condition."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.markup import escape

from service.domain.model import State
from service.explain import Explanation, ExplanationStatus
from service.explain.wording import date_shown, rows, standing, told
from service.store.deliveries import RecordedDelivery
from service.store.views.digest_history import Named
from service.store.views.task_history import TaskHistory

_STANDINGS = {
    ExplanationStatus.FIRED: "[green]fired[/green]",
    ExplanationStatus.NOT_MATCHED: "[yellow]did not fire[/yellow]",
    ExplanationStatus.FAILED: "[red]could not be decided[/red]",
    ExplanationStatus.SETTLING: "[cyan]is waiting[/cyan]",
    ExplanationStatus.UNHEARD: "[dim]was not triggered[/dim]",
    ExplanationStatus.OFF: "[dim]is switched off[/dim]",
    ExplanationStatus.ELSEWHERE: "[dim]is not for this account[/dim]",
    ExplanationStatus.GATHERED: "[cyan]waits for a combined message[/cyan]",
    ExplanationStatus.NO_TASK: "[dim]is not about a single task[/dim]",
}
_LATEST = 10
_NOT_LOADED = (
    "The configuration file was changed but is not loaded yet. Taskbell still uses the earlier"
    " rules. See `taskbell plan`."
)
_FATES = {
    State.PLANNED: "will be sent {next}",
    State.HELD: "waiting until {next}",
    State.SENDING: "is being sent",
    State.SENT: "sent {settled}",
    State.FAILED: "failed {settled}",
    State.UNKNOWN: "may have arrived",
    State.SKIPPED: "not sent",
    State.CANCELLED: "cancelled {settled}",
    State.EXPIRED: "too late {settled}",
}


def lines(
    papers: TaskHistory, found: Sequence[Explanation], zone: ZoneInfo, *, is_loaded: bool
) -> Iterator[str]:
    """For people, in the account's time zone, with markup."""
    yield from _head(papers, zone)
    if not is_loaded:
        yield f"[yellow]{_NOT_LOADED}[/yellow]"
    for one in found:
        yield ""
        yield from _paragraph(one, papers, zone)


def _head(papers: TaskHistory, zone: ZoneInfo) -> Iterator[str]:
    task, (account, number) = papers.known.task, papers.key
    if task is None:
        return
    gone = papers.known.deleted_at
    facts = [f"deleted {told(gone, zone)}" if gone else standing(task)]
    facts += [f"due {date_shown(task, 'due', zone)}"] if task.due else []
    facts += [f"assigned to {task.assignee.name}"] if task.assignee and task.assignee.name else []
    where = f"({number} in {account}): {', '.join(facts)}"
    yield f"[bold]{escape(task.title)}[/bold] {escape(where)}"
    yield f"[dim]Times are those of {zone.key}.[/dim]"
    for name, value in papers.known.unread.items():
        unread = f"{name} could not be read (value: {value}). Taskbell keeps the earlier value."
        yield f"[yellow]{escape(unread)}[/yellow]"
    if papers.absent_since:
        absent = (
            "The system has not shown this task, and many others, since"
            f" {told(papers.absent_since, zone)}. Taskbell sends nothing about it until that is"
            " resolved (`taskbell accounts list`)"
        )
        yield f"[yellow]{escape(absent)}[/yellow]"
    if papers.account_waits:
        yield f"[yellow]{escape(f'{account}: {papers.account_waits}')}[/yellow]"
    if len(papers.events) > _LATEST:
        yield f"  … and {len(papers.events) - _LATEST} earlier events"
    for event in papers.events[-_LATEST:]:
        yield f"  #{event.id}  {told(event.at, zone)}  {event.kind}  [dim]by {event.cause}[/dim]"


def _paragraph(one: Explanation, papers: TaskHistory, zone: ZoneInfo) -> Iterator[str]:
    yield f"[bold]{one.rule}[/bold] {_STANDINGS[one.standing]}: {escape(one.says)}"
    yield f"  triggered by {escape(one.when)}{_heard(one, papers, zone)}"
    if one.clock is not None:
        yield f"  timing: {escape(one.clock)}"
    yield from (f"  {escape(line)}" for line in _of_several(one, zone))
    yield from (f"  note: {escape(note)}" for note in one.notes)
    values = [row for condition in one.conditions for row in rows(condition, zone, 1)]
    width = max((len(text) for text, _ in values), default=0)
    yield from (
        f"{escape(f'{text:<{width}}')}  [cyan]{escape(value)}[/cyan]" for text, value in values
    )
    for delivery in one.deliveries:
        yield f"  → {escape(_fate(delivery, zone))}"


def _of_several(one: Explanation, zone: ZoneInfo) -> Iterator[str]:
    """The lines about the digest that the task is in, and about the selection of the schedule."""
    if (digest := one.digest) is not None and digest.told_at is not None:
        yield f"combined message for {digest.of}: was sent {told(digest.told_at, zone)}"
    elif digest is not None and digest.closes_at is not None:
        at, so_far = told(digest.closes_at, zone), f"tasks so far: {_named(digest.tasks)}"
        yield f"combined message for {digest.of}: will be sent {at}; {so_far}"
    if one.schedule is not None:
        yield from (f"decision: {said}" for said in one.schedule.said if said != one.says)
        if one.schedule.chosen:
            yield f"tasks chosen: {_named(one.schedule.chosen)}"


def _named(tasks: Sequence[Named]) -> str:
    more = len(tasks) - _LATEST
    names = ", ".join(f"{one.title} ({one.id})".lstrip() for one in tasks[:_LATEST])
    return f"{names} and {more} more" if more > 0 else names


def _heard(one: Explanation, papers: TaskHistory, zone: ZoneInfo) -> str:
    event = next((event for event in papers.events if event.id == one.event), None)
    if event is None or not one.heard:
        return ""
    times = len(one.heard)
    happened = f"happened {times} times, last" if times > 1 else "happened once"
    return f"; {happened}: event #{event.id}, {told(event.at, zone)}"


def _fate(delivery: RecordedDelivery, zone: ZoneInfo) -> str:
    shown = {
        "next": _moment(delivery.next_attempt_at, zone, "someone decides"),
        "settled": _moment(delivery.settled_at, zone, ""),
    }
    what = f"{delivery.channel}:{delivery.target}" if delivery.target else delivery.channel
    again = f" (rewrites delivery {delivery.rewrites})" if delivery.rewrites else ""
    tried = f" after {delivery.attempts} attempts" if delivery.attempts > 1 else ""
    why = f": {delivery.reason}" if delivery.reason else ""
    fate = _FATES[delivery.state].format(**shown).rstrip()
    return f"step {delivery.step}, {what}{again}: {fate}{tried}{why}"


def _moment(at: datetime | None, zone: ZoneInfo, otherwise: str) -> str:
    return otherwise if at is None else told(at, zone)
