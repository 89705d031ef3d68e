"""When a rule acts, in words."""

from datetime import timedelta

from service.domain.alarms import Alarm
from service.domain.durations import in_words
from service.domain.model import Kind
from service.domain.task_dates import FIELDS as CUSTOM
from service.rules.sentences.fields import FIELDS
from service.rules.sentences.phrases import Phrase, listed, short
from service.rules.sentences.schedules import schedule
from service.rules.triggers import Trigger

_CHANGES = {
    Kind.CREATED: "When a task is created",
    Kind.COMPLETED: "When a task is completed",
    Kind.REOPENED: "When a task is reopened",
    Kind.RESCHEDULED: "When a task gets another date",
    Kind.REASSIGNED: "When a task gets other people",
    Kind.CHANGED: "When a task changes",
    Kind.DELETED: "When a task is deleted",
    Kind.RESTORED: "When a deleted task exists again",
    Kind.ACKNOWLEDGED: "When someone acknowledges a task",
}
# What an alarm counts from, in words: in the present, and in the past.
_ANCHORS = {
    "due": ("a task is due", "a task was due"),
    "start": ("a task starts", "a task started"),
    "end": ("a task ends", "a task ended"),
    "created_at": ("a task is created", "a task was created"),
    "updated_at": ("a task is changed", "a task was last changed"),
}
_DAY = timedelta(days=1)


def trigger_words(trigger: Trigger, accounts: str) -> Phrase:
    """Such as `When a task is completed in field`; `accounts` are those of the rule, if limited."""
    if trigger.cron is not None:
        return (*schedule(trigger.cron), f" for {accounts}" if accounts else "")
    where = f" in {accounts}" if accounts else ""
    if trigger.alarm is not None:
        return (f"{_alarm(trigger.alarm)}{where}{_details(trigger.alarm)}",)
    return (f"{_event(trigger)}{where}",)


def _event(trigger: Trigger) -> str:
    if trigger.signal is not None:
        return f"When the signal “{short(trigger.signal)}” comes for a task"
    if trigger.fields:
        names = listed((FIELDS.get(one, one) for one in sorted(trigger.fields)), "or")
        return f"When the {names} of a task changes"
    # `task.changed` stands for several kinds: it is the one that says so.
    kind = Kind.CHANGED if Kind.CHANGED in trigger.kinds else next(iter(trigger.kinds))
    return _CHANGES[kind]


def _alarm(alarm: Alarm) -> str:
    if alarm.kind is Kind.OVERDUE and not alarm.offset:
        return "When a task is overdue"
    present, past = _anchor(alarm.field)
    if not alarm.offset:
        return f"On the day on which {present}"
    if alarm.offset < timedelta(0):
        return f"{_length(alarm)} before {present}"
    return f"{_length(alarm)} after {past}"


def _details(alarm: Alarm) -> str:
    """The time of day; and for an alarm after the due date that the task is still open."""
    still = ", if it is still open" if alarm.kind is Kind.OVERDUE and alarm.offset else ""
    return still if alarm.at is None else f"{still}, at {alarm.at:%H:%M}"


def _anchor(field: str) -> tuple[str, str]:
    if field in _ANCHORS:
        return _ANCHORS[field]
    name = f"the date “{short(field.removeprefix(CUSTOM))}” of a task"
    return name, name


def _length(alarm: Alarm) -> str:
    words = in_words(abs(alarm.offset))
    if alarm.is_business:
        days = abs(alarm.offset.days)
        return f"{days} business day{'' if days == 1 else 's'}"
    return f"{words[0].upper()}{words[1:]}"
