"""Formats tasks: as rows of a list, and one with all that is known of it."""

from collections.abc import Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.model import Event
from service.explain.wording import date_shown, standing, told
from service.store.views.listing import Row
from service.store.views.task_history import TaskHistory
from service.store.views.task_search import FoundTask
from service.web.labels import place
from service.web.presenters.field_changes import changes, facts

_LATEST = 20
_LONGEST = 300  # characters of a value in the timeline, and of a text of a message


def row_of(found: FoundTask, zone: ZoneInfo) -> dict[str, Any]:
    """A row of a list; the due date is in the zone of the task's account, which is named."""
    task = found.task
    due = date_shown(task, "due", zone)
    return {
        "account": task.account,
        "id": task.id,
        "title": _short(task.title),
        "state": found.standing,
        "customer": _short((task.customer and task.customer.name) or ""),
        "assigned to": _short((task.assignee and task.assignee.name) or ""),
        "due": due if not due or task.due_is_day else f"{due}{place(zone)}",
    }


def lines(papers: TaskHistory, messages: Sequence[Row], zone: ZoneInfo) -> Iterator[str]:
    """The task's fields, its last events and its messages, in the zone of its account."""
    task, (account, number) = papers.known.task, papers.key
    if task is None:
        return
    gone = papers.known.deleted_at
    stands = f"deleted {told(gone, zone)}" if gone else standing(task)
    yield f"{_short(task.title)} ({number} in {account}): {stands}"
    yield f"Times are those of {zone.key}."
    known = {**facts(task, zone, zone), "link": task.url or ""}
    width = max(map(len, known))
    yield from (f"{name:<{width}}  {_below(text, width)}" for name, text in known.items() if text)
    yield ""
    if len(papers.events) > _LATEST:
        yield f"… and {len(papers.events) - _LATEST} earlier events"
    for event in papers.events[-_LATEST:]:
        yield from _event(event, zone)
    yield "" if messages else "no messages about this task"
    for one in messages:
        yield from _message(one, zone)


def _event(event: Event, zone: ZoneInfo) -> Iterator[str]:
    yield f"#{event.id}  {told(event.at, zone)}  {event.kind}  by {event.cause}"
    for one in changes(event, zone, zone):
        yield f"    {one.name}: {_short(one.before)} → {_short(one.after)}"


def _message(one: Row, zone: ZoneInfo) -> Iterator[str]:
    at = one["settled_at"] or one["next_attempt_at"] or one["created_at"]
    to = f"{one['channel']}:{one['target']}" if one["target"] else one["channel"]
    why = f": {one['reason']}" if one["reason"] else ""
    yield f"message {one['id']}  {told(at, zone)}  {one['state']}  {one['rule']}  {to}{why}"
    if one["text"]:
        yield f"    {_short(one['text'])}"


def _short(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _below(text: str, width: int) -> str:
    """A text of several lines, so that none of them begins where a name would."""
    return text.replace("\n", f"\n{' ' * (width + 2)}")
