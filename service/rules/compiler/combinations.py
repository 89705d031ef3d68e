"""Which keys of a rule can be combined, and which names its parts can use then."""

from collections.abc import Iterable, Sequence
from typing import Any

from service.diagnostics import Issue, Path, did_you_mean
from service.domain.model import Kind
from service.domain.system_actions import BUILT_IN, CREATE
from service.rules.compiler.shapes import RuleShape
from service.rules.language.variables import (
    CHANGED_TASK,
    CHOSEN_TASK,
    DIGEST,
    SCHEDULE,
    SCHEDULE_ASKED,
)

# Keys of a step that depend on what becomes of one task.
_OF_ONE_TASK = frozenset({"on_undo", "repeat", "buttons"})
_WAIT_HINT = "write how long to collect tasks, such as wait: 30m"


def subjects(shape: RuleShape) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a rule's conditions can use, and those that its steps and `once_per` can."""
    if shape.when.cron is not None and shape.for_each is None:
        return SCHEDULE_ASKED, SCHEDULE if shape.group is None else DIGEST
    asked = CHANGED_TASK if shape.when.cron is None else CHOSEN_TASK
    return asked, asked if shape.group is None else DIGEST


def without_one_task(shape: RuleShape) -> str | None:
    """Why a rule is not about exactly one task; None if it is."""
    if shape.group is not None:
        return "a digest (group) has several"
    if shape.when.cron is not None and shape.for_each is None:
        return "a schedule has none"
    return None


def invalid_combinations(shape: RuleShape, accounts: Sequence[str], path: Path) -> Iterable[Issue]:
    """The problems with keys of a rule that cannot be combined.

    `accounts` are those that it is for; none if that is not known. A trigger that cannot be read is
    a problem of its own: what can be combined with it is not known.
    """
    if shape.when.cron is None and not shape.when.kinds:
        return
    if shape.when.cron is not None:
        yield from _by_schedule(shape, path)
    elif shape.for_each is not None:
        message = "for_each can be used only with a schedule"
        yield Issue((*path, "for_each"), message, 'write when: { schedule: "30 7 * * 1-5" }')
    elif shape.group is not None and shape.group.empty == "send":
        message = "empty can be used only with a schedule: nothing happens that begins a digest"
        yield Issue((*path, "group", "empty"), message, "remove empty", at_key=True)
    elif shape.group is not None and shape.group.wait is None:
        message = "wait is missing in group"
        yield Issue((*path, "group"), message, _WAIT_HINT, at_key=True)
    if shape.group is not None:
        yield from _in_group(shape, path)
    if shape.together is not None:
        yield from _over_accounts(shape.together, shape, accounts, path)
    if (why := without_one_task(shape)) is not None:
        yield from _without_task(shape, why, path)


def _by_schedule(shape: RuleShape, path: Path) -> Iterable[Issue]:
    if shape.group is not None and shape.for_each is None:
        message = "there is nothing to group"
        hint = "choose tasks with for_each: tasks.filter(t, !t.done)"
        yield Issue((*path, "group"), message, hint, at_key=True)
    if shape.lasts is not None:
        message = "for cannot be used with a schedule"
        yield Issue((*path, "for"), message, "remove for", at_key=True)
    for name in ("wait", "max"):
        if shape.group is not None and getattr(shape.group, name) is not None:
            message = f"{name} cannot be used with a schedule, which sends all tasks at once"
            yield Issue((*path, "group", name), message, f"remove {name}", at_key=True)


def _over_accounts(
    lead: str, shape: RuleShape, accounts: Sequence[str], path: Path
) -> Iterable[Issue]:
    """The problems with `together`, which makes one message of several accounts."""
    place = (*path, "together")
    if accounts and lead not in accounts:
        message = f"{lead} is not one of the rule's accounts"
        yield Issue(place, message, did_you_mean(lead, accounts))
    elif accounts and len({*accounts}) == 1:
        message = f"together needs several accounts, and the rule has only {lead}"
        yield Issue(place, message, "remove together, or add accounts")
    if shape.group is None and (shape.when.cron is None or shape.for_each is not None):
        message = (
            "together makes one message of several accounts, but this rule sends one for each task"
        )
        yield Issue(place, message, "add group, or remove together", at_key=True)


def _in_group(shape: RuleShape, path: Path) -> Iterable[Issue]:
    if Kind.DELETED in shape.when.kinds:
        message = "group cannot be used with task.deleted: a digest leaves out deleted tasks"
        yield Issue((*path, "group"), message, "remove group", at_key=True)
    if shape.own_writes:
        message = "own_writes cannot be combined with group"
        yield Issue((*path, "own_writes"), message, "remove one of them", at_key=True)


def _without_task(shape: RuleShape, why: str, path: Path) -> Iterable[Issue]:
    """The problems with keys that need one task, in a rule that is about none or several."""
    hint = "remove group" if shape.group else "choose tasks with for_each: tasks.filter(t, …)"
    if shape.until is not None and shape.group is None:
        message = "until needs a task, and this schedule has none"
        yield Issue((*path, "until"), message, hint, at_key=True)
    if shape.escalate:
        message = f"escalate needs exactly one task, and {why}"
        yield Issue((*path, "escalate"), message, hint, at_key=True)
    yield from _about_one(shape.then, (*path, "then"), why, hint)


def _about_one(steps: Any, path: Path, why: str, hint: str) -> Iterable[Issue]:
    """The problems with steps that need one task, such as a message by its own system."""
    for position, step in enumerate(steps if isinstance(steps, list | tuple) else ()):
        place = (*path, position)
        for name, value in step.items() if isinstance(step, dict) else ():
            action = str(value).partition(":")[0] if name == "notify" else name
            if (action in BUILT_IN and action != CREATE) or name in _OF_ONE_TASK:
                message = f"{action} needs exactly one task, and {why}"
                yield Issue((*place, name), message, hint)
            elif name == "on_fail":
                yield from _about_one(value, (*place, name), why, hint)
