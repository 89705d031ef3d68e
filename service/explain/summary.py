"""An explanation as JSON: the task, its events, and the result of each rule."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from service.domain.model import Event
from service.explain import Explanation
from service.store.views.task_history import TaskHistory


def as_json(
    papers: TaskHistory, found: Sequence[Explanation], *, is_loaded: bool
) -> dict[str, Any]:
    """What the command line and the API answer; `is_loaded`: the rules are those in force."""
    task = papers.known.task
    return {
        "task": task and orjson.Fragment(task.to_json()),
        "deleted_at": papers.known.deleted_at,
        "absent_since": papers.absent_since,
        "unread": papers.known.unread,
        "account_waits": papers.account_waits,
        "rules_loaded": is_loaded,
        "events": [_event(one) for one in papers.events],
        "rules": [asdict(one) for one in found],
    }


def _event(event: Event) -> dict[str, Any]:
    names = ("id", "kind", "at", "cause", "changed", "alarm", "signal")
    return {name: getattr(event, name) for name in names}
