"""Triggers: the events that a rule reacts to, parsed from `when:`."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any, TypeAlias

from pydantic_core import PydanticCustomError

from service.diagnostics import Suggestion, did_you_mean, refused
from service.document.messages import must_be, shortened
from service.domain.alarms import Alarm
from service.domain.durations import parse_duration, parse_length
from service.domain.model import Event, Kind, Task
from service.domain.schedules import parse_cron
from service.domain.task_dates import FIELDS as CUSTOM
from service.rules.language.presence_checks import BEFORE
from service.rules.language.vocabulary import names
from service.sources.values import identifier

_CHANGES = frozenset(
    {Kind.CHANGED, Kind.RESCHEDULED, Kind.REASSIGNED, Kind.COMPLETED, Kind.REOPENED}
)
KINDS = {
    "task.created": frozenset({Kind.CREATED}),
    "task.completed": frozenset({Kind.COMPLETED}),
    "task.reopened": frozenset({Kind.REOPENED}),
    "task.rescheduled": frozenset({Kind.RESCHEDULED}),
    "task.reassigned": frozenset({Kind.REASSIGNED}),
    "task.changed": _CHANGES,
    "task.deleted": frozenset({Kind.DELETED}),
    "task.restored": frozenset({Kind.RESTORED}),
    "task.acknowledged": frozenset({Kind.ACKNOWLEDGED}),
}
FIELDS = {
    "task.rescheduled": ("due", "start", "end"),
    "task.reassigned": ("assignee", "assignees"),
    "task.changed": tuple(names(Task)),
}
# What people and other systems call these events.
_SYNONYMS = {
    **dict.fromkeys(("done", "finished", "closed", "resolved"), "completed"),
    **dict.fromkeys(("updated", "modified", "edited"), "changed"),
    **dict.fromkeys(("new", "added", "opened"), "created"),
    **dict.fromkeys(("moved", "postponed", "delayed", "scheduled"), "rescheduled"),
    **dict.fromkeys(("assigned", "unassigned"), "reassigned"),
    **dict.fromkeys(("uncompleted", "incomplete", "unfinished"), "reopened"),
    "removed": "deleted",
    **dict.fromkeys(("undeleted", "recovered"), "restored"),
    **dict.fromkeys(("late", "missed"), "overdue"),
    **dict.fromkeys(("confirmed", "accepted", "acked"), "acknowledged"),
}
_ANY_TIME = re.compile(r"(\d{1,2})(?:[:.h](\d{2}))?(?::\d{2})?\s*(am|pm)?")
CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_BEFORE, _AFTER = -1, 1
CLOCK = {
    "task.due_soon": (Kind.DUE_SOON, "due", _BEFORE),
    "task.overdue": (Kind.OVERDUE, "due", _AFTER),
    "task.starting_soon": (Kind.STARTING_SOON, "start", _BEFORE),
}
SIGNAL, SCHEDULE = "signal", "schedule"
# The clock watches open tasks only, so that a completion is never a date to count from.
ANCHORS = ("due", "start", "end", "created_at", "updated_at")
_CUSTOM = re.compile(r"""fields(?:\.(?P<name>\w+)|\[(["'])(?P<quoted>[^"'\n]+)\2\])""")
_OWN = "fields."
_LENGTHS = "write for example 30m, 2h, 1 day or 1 business day"
_PAST = frozenset({"created_at", "updated_at"})
_ANY_GUARANTEED = frozenset(
    {*(f"task.{anchor}" for anchor in ANCHORS), "task.completed_at", BEFORE}
)


Topic: TypeAlias = tuple[Kind, str | None]
"""A kind of event, and the alarm that rang or the name of the signal."""


def topic_of(event: Event) -> Topic:
    return event.kind, event.alarm or event.signal


@dataclass(frozen=True, slots=True)
class Trigger:
    """The events that trigger a rule: their kinds, the fields they cover, the alarm or signal.

    With `cron` the events are created for the rule alone. A trigger without any kind is `UNREAD`.
    """

    kinds: frozenset[Kind]
    fields: frozenset[str] = frozenset()
    alarm: Alarm | None = None
    signal: str | None = None
    cron: str | None = None

    def matches(self, event: Event) -> bool:
        if event.kind not in self.kinds:
            return False
        if event.before is None and Kind.CHANGED in self.kinds:
            return False  # first seen as it is: what it was before, nobody knows
        if self.alarm is not None:
            return event.alarm == str(self.alarm)
        if self.signal is not None:
            return event.signal == self.signal
        return not self.fields or not self.fields.isdisjoint(event.changed)

    @property
    def topics(self) -> frozenset[Topic]:
        """The topics of the events that can trigger it."""
        word = self.signal if self.alarm is None else str(self.alarm)
        return frozenset((kind, word) for kind in self.kinds)

    @property
    def is_change(self) -> bool:
        """Whether it is triggered by changes of a task, several of which have a net change."""
        return not self.is_by_clock and self.signal is None

    @property
    def is_by_clock(self) -> bool:
        """Whether it is an alarm: the event is time-based, and not a change."""
        return self.alarm is not None or self.cron is not None

    @property
    def guarantees(self) -> frozenset[str]:
        """The names that an expression may read without `has(…)`.

        A task that is done when it is first observed was completed, but has no state `before`.
        """
        if not self.kinds:
            return _ANY_GUARANTEED
        if self.alarm is not None:
            return frozenset({f"task.{self.alarm.field}", BEFORE})
        if self.kinds == {Kind.COMPLETED}:
            return frozenset({"task.completed_at"})
        return frozenset({BEFORE})


# Stands in for what cannot be read after `when:`, so that the rest of the rule can be.
UNREAD = Trigger(frozenset())


def parse_trigger(value: Any) -> Trigger:
    """Parse `when:`; raises ValueError with the error."""
    if isinstance(value, Trigger):
        return value
    if isinstance(value, str):
        return _named(value, None)
    if not isinstance(value, dict) or not value:
        hint = "write one rule for each event" if isinstance(value, list) else None
        raise refused(must_be("when", "an event such as task.completed", value), hint)
    if "before" in value or "after" in value:
        return _reminder(value)
    if SIGNAL in value:
        return _signal(value)
    if len(value) > 1:
        raise refused("when must be one event; write one rule for each")
    ((name, argument),) = value.items()
    return _named(str(name), argument)


def _named(name: str, argument: Any) -> Trigger:
    if name == SCHEDULE:
        return _schedule(argument)
    if name in CLOCK:
        return _alarm(name, argument)
    if name == SIGNAL:
        raise refused("signal needs a name", "write { signal: leaving }")
    if name not in KINDS:
        known = {*KINDS, *CLOCK, SIGNAL, SCHEDULE}
        raise refused(f"there is no event {name}", _meant(name, known))
    if argument is None:
        return Trigger(KINDS[name])
    return Trigger(KINDS[name], _fields(name, argument))


def _meant(name: str, known: Collection[str]) -> str:
    """What to write in place of a name that is no event; all events if that is unclear."""
    word = name.removeprefix("task.").casefold()
    if (synonym := _SYNONYMS.get(word)) is not None:
        return Suggestion(f"task.{synonym}")
    if word in FIELDS["task.changed"]:
        return f"write {{ task.changed: [{word}] }}"
    hint = did_you_mean(name, known)
    return hint or f"events: {', '.join(sorted(known))}, before, after"


def _fields(name: str, argument: Any) -> frozenset[str]:
    known = FIELDS.get(name)
    if known is None:
        raise refused(f"{name} takes no fields", f"write only {name}", inside=(name,))
    if not isinstance(argument, list) or not argument:
        example = argument if argument in known else known[-1]
        message = must_be(name, "a list of fields", argument)
        raise refused(message, f"write {{ {name}: [{example}] }}", inside=(name,))
    for position, field in enumerate(argument):
        if field not in known:
            hint = did_you_mean(str(field), known)
            raise refused(f"{name} has no field {field}", hint, inside=(name, position))
    return frozenset(argument)


def _alarm(name: str, argument: Any) -> Trigger:
    kind, field, direction = CLOCK[name]
    if argument is None and direction == _BEFORE:
        raise refused(f"{name} needs a duration", f"write {{ {name}: 1h }}")
    if argument is None:
        return Trigger(frozenset({kind}), alarm=Alarm(kind, field, timedelta(0)))
    length, is_business = _length(argument, name)
    alarm = Alarm(kind, field, direction * length, is_business=is_business)
    return Trigger(frozenset({kind}), alarm=alarm)


def _reminder(value: Mapping[str, Any]) -> Trigger:
    direction = "before" if "before" in value else "after"
    for name in value:
        if name not in {direction, "by", "at"}:
            hint = did_you_mean(str(name), ["by", "at"])
            raise refused(f"{name} cannot be combined with {direction}", hint, inside=(name,))
    field = _anchor(value[direction], direction)
    if "by" not in value and "at" not in value:
        raise refused(f'{direction} needs by: 1 day, at: "16:00", or both', inside=(direction,))
    length, is_business = _length(value["by"], "by") if "by" in value else (timedelta(0), False)
    offset = -length if direction == "before" else length
    if offset < timedelta(0) and field in _PAST:
        message = f"{field} is always in the past, so before: cannot be used with it"
        raise refused(message, "use a date in the future", inside=(direction,))
    alarm = Alarm(Kind.REMINDER, field, offset, _clock_time(value.get("at")), is_business)
    return Trigger(frozenset({Kind.REMINDER}), alarm=alarm)


def _anchor(value: Any, direction: str) -> str:
    """The date that is counted from: `task.due`, or a custom one as expressions write it."""
    field = str(value).removeprefix("task.")
    if (custom := _CUSTOM.fullmatch(field)) is not None:
        return f"{CUSTOM}{custom['name'] or custom['quoted']}"
    if field not in ANCHORS:
        message = f"{direction} needs a date that open tasks have, not {shortened(str(value))}"
        raise refused(message, _date(field, direction), inside=(direction,))
    return field


def _date(field: str, direction: str) -> str:
    """What to write in place of a field that cannot be counted from."""
    known = [f"task.{anchor}" for anchor in ANCHORS]
    if field.startswith(_OWN):
        return f'write task.fields["{field.removeprefix(_OWN)}"]'
    hint = None if field in names(Task) else did_you_mean(f"task.{field}", known)
    if isinstance(hint, Suggestion):
        return hint
    return f"{direction} can use {', '.join(known)} and task.fields.NAME"


def _signal(value: Mapping[str, Any]) -> Trigger:
    for word in value:
        if word != SIGNAL:
            raise refused(f"{word} cannot be combined with {SIGNAL}", inside=(word,))
    name = identifier(value[SIGNAL])
    if name is None:
        message = must_be("signal", "the name of a signal", value[SIGNAL])
        hint = "write up to 200 characters on one line: the name that the sender uses"
        raise refused(message, hint, inside=(SIGNAL,))
    return Trigger(frozenset({Kind.SIGNAL}), signal=name)


def _schedule(cron: Any) -> Trigger:
    if not isinstance(cron, str):
        message = must_be("a schedule", "text", cron)
        raise refused(message, 'write { schedule: "30 7 * * 1-5" }', inside=(SCHEDULE,))
    try:
        return Trigger(frozenset({Kind.SCHEDULED}), cron=parse_cron(cron))
    except PydanticCustomError as error:
        said = error.context or {}
        raise refused(said["message"], said["hint"], inside=(SCHEDULE,)) from None


def _length(argument: Any, name: str) -> tuple[timedelta, bool]:
    """How long before or after a date; and whether it is in business days."""
    try:
        duration = parse_duration(argument)
        if duration.business_days:
            return timedelta(days=duration.business_days), True
        if duration.business_hours:
            raise refused(f"{name} can be in business days, but not in business hours")
        return parse_length(argument), False
    except PydanticCustomError as error:
        raise refused(error.message(), _LENGTHS, inside=(name,)) from None


def _clock_time(value: Any) -> time | None:
    if value is None:
        return None
    if not isinstance(value, str) or not CLOCK_TIME.fullmatch(value):
        message = must_be("at", "a time of day, from 00:00 to 23:59", value)
        raise refused(message, f'write at: "{_likely_time(value)}"', inside=("at",))
    return time.fromisoformat(value)


def _likely_time(value: Any) -> str:
    """The time of day that is probably meant by `7:30` or `4pm`; an example if that is unclear."""
    found = _ANY_TIME.fullmatch(str(value).strip().lower())
    if found is None:
        return "16:00"
    hour, minute = int(found[1]), int(found[2] or 0)
    if found[3]:
        hour = hour % 12 + (12 if found[3] == "pm" else 0)
    likely = f"{hour:02}:{minute:02}"
    return likely if CLOCK_TIME.fullmatch(likely) else "16:00"
