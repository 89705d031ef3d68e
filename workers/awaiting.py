"""Compares the state of a task that was read with the changes that webhooks announced."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.domain.diff import diff
from service.domain.model import Kind, Observation
from service.sources import Source
from service.sources.reader import Raw
from service.store.announcements import Announcement
from workers import retry
from workers.unreadable import UNREADABLE

HEARD = "the signal was used after that"


@dataclass(frozen=True, slots=True)
class Answer:
    """A task as read by its id, and its JSON; None if it does not exist."""

    look: Observation
    raw: Raw | None


def is_change_shown(
    source: Source, one: Announcement, answer: Answer, *, is_known: bool, is_news: bool
) -> bool:
    """Whether the announced change is visible: the task has changed, or does not exist any more.

    `is_known` says that the task was observed before, `is_news` that this observation has caused
    events.
    """
    if is_news:
        return True
    if answer.raw is None:
        return is_known
    return not one.content or not _adds(source, one.content, answer.raw)


def _adds(source: Source, content: Mapping[str, Any], raw: Raw) -> bool:
    """Whether the webhook's data about the task differs from the task as it was read."""
    try:
        said = source.trim(_overlaid(raw, content))
        version, read = source.version(said), source.version(raw)
        if version is not None and read is not None and version != read:
            return version > read
        return bool(diff(source.parse(raw), source.parse(said)))
    except UNREADABLE:
        return False


def _overlaid(raw: Any, content: Any) -> Any:
    """The task as it was read, with the webhook's data in its place."""
    if not isinstance(raw, Mapping) or not isinstance(content, Mapping):
        return content
    return {**raw, **{name: _overlaid(raw.get(name), value) for name, value in content.items()}}


def missing_reason(one: Announcement, answer: Answer) -> str:
    """Why an announcement caused no event."""
    account, task_id = one.key
    if answer.raw is None:
        says = f"has no task {task_id}"
    elif one.kind is Kind.DELETED:
        says = f"still shows task {task_id}"
    else:
        says = f"does not show that task {task_id} was {one.kind}"
    looked = f"{account} was asked {len(retry.ANNOUNCED.pauses) + 1} times and {says}"
    return f"signal ignored: {looked}" if one.kind is Kind.SIGNAL else looked
