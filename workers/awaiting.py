"""What webhooks announced, and whether what was read of a task shows it."""

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
    """What a task looks like by its id, and the JSON that says so; None if there is none."""

    look: Observation
    raw: Raw | None


def is_change_shown(
    source: Source, one: Announcement, answer: Answer, *, is_known: bool, is_news: bool
) -> bool:
    """Whether the change that was announced shows: something has changed, or there is no more.

    `is_known` says that the task was ever seen, `is_news` that this look at it has brought events.
    """
    if is_news:
        return True
    if answer.raw is None:
        return is_known
    return not one.content or not _adds(source, one.content, answer.raw)


def _adds(source: Source, content: Mapping[str, Any], raw: Raw) -> bool:
    """Whether what the webhook had of the task says something else than the task as it was read."""
    try:
        said = source.trim(_overlaid(raw, content))
        version, read = source.version(said), source.version(raw)
        if version is not None and read is not None and version != read:
            return version > read
        return bool(diff(source.parse(raw), source.parse(said)))
    except UNREADABLE:
        return False


def _overlaid(raw: Any, content: Any) -> Any:
    """The task as it was read, with what the webhook had of it in its place."""
    if not isinstance(raw, Mapping) or not isinstance(content, Mapping):
        return content
    return {**raw, **{name: _overlaid(raw.get(name), value) for name, value in content.items()}}


def missing_reason(one: Announcement, answer: Answer) -> str:
    """Why nothing came of an announcement."""
    account, task_id = one.key
    if answer.raw is None:
        says = f"has no task {task_id}"
    elif one.kind is Kind.DELETED:
        says = f"still shows task {task_id}"
    else:
        says = f"does not show that task {task_id} was {one.kind}"
    looked = f"{account} was asked {len(retry.ANNOUNCED.pauses) + 1} times and {says}"
    return f"signal ignored: {looked}" if one.kind is Kind.SIGNAL else looked
