"""The pydantic models of a rule in the file, before its expressions and texts are checked."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from service.diagnostics import refused
from service.document.messages import must_be
from service.document.validation import Shape
from service.domain.durations import AnyDuration, Duration, Length
from service.rules.groups import MOST
from service.rules.limit import Limit, parse_limit
from service.rules.triggers import UNREAD, Trigger, parse_trigger

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHORTEST_PAUSE = timedelta(minutes=1)
_MOST_TIMES = 100
PRIORITIES = ("low", "normal", "high", "highest")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        hint = "up to 64 letters, digits, dots, dashes and underscores; first a letter or a digit"
        raise refused(f'"{value}" cannot be the id of a rule', hint)
    return value


def one_or_many(value: Any) -> Any:
    """A list of one may be written as its only item."""
    return value if isinstance(value, list) else [value]


def _some(value: Any) -> Any:
    if isinstance(value, dict) and all(one is None for one in value.values()):
        raise refused("there is nothing to change")
    return value


def _quiet(value: Any) -> Any:
    return {"quiet": value} if isinstance(value, str) else value


def _patience(value: "SettleShape") -> "SettleShape":
    if value.max is not None and value.max < value.quiet:
        raise refused("max must be at least as long as quiet")
    return value


def some_time(value: timedelta) -> timedelta:
    """A length of time that is not zero, for `expires`; raises ValueError."""
    if not value:
        raise refused(
            "expires must be longer than 0, or no message is ever sent",
            "remove expires, or write for example 20m",
        )
    return value


def as_use(value: Any) -> Any:
    """`hours: NAME` is short for `hours: { use: NAME }`."""
    return {"use": value} if isinstance(value, str) else value


def _switch(value: Any) -> Any:
    if value is True or value is False or value == "shadow":
        return value
    raise refused(must_be("enabled", "true, false or shadow", value))


def _lead(value: Any) -> Any:
    if isinstance(value, str):
        return value
    wanted = "the account by whose time zone the rule acts for all of its accounts"
    raise refused(must_be("together", wanted, value), "write for example together: london")


def _pause(value: Duration) -> Duration:
    if not value.is_business and value.plain < _SHORTEST_PAUSE:
        raise refused("every must be at least 1m")
    return value


def _times(value: Any) -> Any:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not 1 <= value <= _MOST_TIMES:
        raise refused(must_be("max", f"a number from 1 to {_MOST_TIMES}", value))
    return value


class SettleShape(Shape):
    """Wait until nothing has changed for `quiet`, but no longer than `max`."""

    quiet: Length
    max: Length | None = None


class HoursShape(Shape):
    """Which opening hours count, and what happens to messages outside of them.

    In a list, the first whose `if` is true count.
    """

    use: str
    outside: Literal["hold", "skip", "ignore"] = "hold"
    condition: str | None = Field(None, alias="if")


class GroupShape(Shape):
    """Which tasks are sent in one message, how long they are collected, and how many at most."""

    by: str
    wait: Length | None = None
    max: Annotated[int, Field(ge=1, le=MOST)] | None = None
    empty: Literal["send", "skip"] = "skip"


class MutedShape(Shape):
    """Another rule that suppresses this one for tasks with the same values in these fields."""

    rule: str
    same: Annotated[tuple[Any, ...], BeforeValidator(one_or_many), Field(min_length=1)]


class RuleShape(Shape):
    """One rule. `own_writes` lets it hear of changes that Taskbell made itself.

    What stands in a list is looked at later, one by one.
    """

    stand_ins: ClassVar[Mapping[str, Any]] = {
        "id": "unread",
        "when": UNREAD,
        "then": [{"wait": "0s"}],
    }

    id: Annotated[str, AfterValidator(_name)]
    when: Annotated[Trigger, PlainValidator(parse_trigger)]
    conditions: Annotated[tuple[Any, ...], BeforeValidator(one_or_many)] = Field((), alias="if")
    for_each: str | None = None
    settle: Annotated[SettleShape, BeforeValidator(_quiet), AfterValidator(_patience)] | None = None
    lasts: Length | None = Field(None, alias="for")
    group: GroupShape | None = None
    hours: Any = None
    expires: Annotated[Length, AfterValidator(some_time)] | None = None
    once_per: Annotated[tuple[Any, ...], BeforeValidator(one_or_many)] = ()
    limit: Annotated[Limit | None, PlainValidator(parse_limit)] = None
    muted_by: MutedShape | None = None
    then: Annotated[tuple[Any, ...], Field(min_length=1)]
    escalate: tuple[Any, ...] = ()
    until: str | None = None
    enabled: Annotated[Literal[True, False, "shadow"], BeforeValidator(_switch)] = True
    accounts: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    together: Annotated[str | None, BeforeValidator(_lead)] = None
    own_writes: bool = False


class StepShape(Shape):
    """The base of all steps. They have no keys in common."""


class RepeatShape(Shape):
    """Send the same message again, at most `max` times."""

    every: Annotated[AnyDuration, AfterValidator(_pause)]
    max: Annotated[int, BeforeValidator(_times)]


class ActionShape(StepShape):
    """A step that may need approval."""

    approve: Annotated[str, Field(min_length=1)] | None = None


class NotifyShape(ActionShape):
    """A message by a channel of the configuration, or by the system itself.

    `notify` identifies the step, so it is always present; "" replaces an invalid value.
    """

    notify: Annotated[str, Field(min_length=1)] = ""
    text: str | None = None
    template: str | None = None
    subject: str | None = None
    attach: Literal["visit"] | None = None
    on_undo: Literal["update", "thread", "retract", "nothing"] = "nothing"
    repeat: RepeatShape | None = None
    even_if_told: bool = False
    buttons: tuple[Literal["acknowledge", "take", "done", "snooze"], ...] = ()
    on_fail: tuple[Any, ...] = ()


class EscalationShape(NotifyShape):
    """A further message, unless somebody has acknowledged the task or it has changed."""

    after: AnyDuration


class WaitShape(StepShape):
    """A pause before the steps that follow."""

    wait: AnyDuration


class ChangesShape(Shape):
    """Fields of a task to write; texts are templates, dates may be lengths of time from now."""

    title: str | None = None
    description: str | None = None
    type: str | None = None
    status: str | None = None
    priority: str | None = None
    due: str | None = None
    start: str | None = None
    end: str | None = None
    assignee: str | None = None
    customer: str | None = None
    project: str | None = None


class NewTaskShape(ChangesShape):
    """Fields of a task to create, and the account to create it in, if not that of the event."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"title": "unread"}

    title: str
    account: Annotated[str, Field(min_length=1)] | None = Field(None, alias="in")


class CreateShape(ActionShape):
    """Create a task in the system of this task, or of another account."""

    create_task: NewTaskShape


class UpdateShape(ActionShape):
    """Change this task."""

    update_task: Annotated[ChangesShape, BeforeValidator(_some)]


class CompleteShape(ActionShape):
    """Mark this task as done."""

    complete_task: Literal[True]


class ReopenShape(ActionShape):
    """Mark this task as not done."""

    reopen_task: Literal[True]


class DeleteShape(ActionShape):
    """Delete this task."""

    delete_task: Literal[True]


STEPS: dict[str, type[StepShape]] = {
    "notify": NotifyShape,
    "wait": WaitShape,
    "create_task": CreateShape,
    "update_task": UpdateShape,
    "complete_task": CompleteShape,
    "reopen_task": ReopenShape,
    "delete_task": DeleteShape,
}
