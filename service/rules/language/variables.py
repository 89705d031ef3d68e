"""The names that each part of a rule can use, and the error for one that it cannot."""

from service.diagnostics import Issue, Path
from service.rules.language.cel_errors import WORDS

CHANGED_TASK = WORDS | {"task", "before", "event"}
CHOSEN_TASK = WORDS | {"task", "event"}
DIGEST = WORDS | {"group"}
SCHEDULE = WORDS | {"event"}
SCHEDULE_ASKED = SCHEDULE | {"tasks"}
ALL_TASKS = WORDS | {"tasks"}
# What is still known when `until` is asked: the event is forgotten, and so is its zone.
LASTING = WORDS - {"date"} | {"task"}

_VARIABLES = frozenset({"task", "before", "event", "group", "tasks", "now"})
_SEVERAL = (
    "a digest has several tasks: write group.key, group.size or"
    " {% for task in group.tasks %}…{% endfor %}"
)
_HINTS = {
    "group": "use it only in the steps of a rule with group:",
    "task": "a schedule has no task of its own: write tasks.filter(t, …) with t for each of them",
    "tasks": "use it only in for_each: of a rule with a schedule, or in its if: without for_each:",
}


def misplaced(name: str, subjects: frozenset[str], path: Path, offset: int | None = None) -> Issue:
    """The error for a name where only these `subjects` can be used."""
    is_about_one = "group" in subjects and name in {"task", "before"}
    hint = _SEVERAL if is_about_one else _HINTS.get(name)
    if hint is None:
        hint = f"this can use {', '.join(sorted(subjects & _VARIABLES))}"
    return Issue(path, f"{name} cannot be used here", hint, offset)
