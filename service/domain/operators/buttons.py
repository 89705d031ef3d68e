"""The answers that a recipient can give with one press, and the words for them."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from service.domain.days import Calendar

ANSWER_KEY = "answer:"
"""The beginning of the key of a delivery that a button requested."""
ASSIGNED, COMPLETED = "task.assigned", "task.completed"
NO_RULES = frozenset({ASSIGNED, COMPLETED})
"""They stand for the rule of a write that a person requested without a message."""
ESCALATION = "escalation"
"""Among the words that cancel a delivery: the end of an escalation."""
_MORNING = time(8)


class Button(StrEnum):
    """A button or link of a message about one task.

    - `acknowledge`: the receiver takes care of it; further escalation stops
    - `take`: the same, and the task is assigned to the receiver in its system
    - `done`: complete the task in its system
    - `snooze_hour`, `snooze_day`: say it again in an hour, or the next morning at eight
    - `approve`, `decline`: of a question, about another message
    """

    ACKNOWLEDGE = "acknowledge"
    TAKE = "take"
    DONE = "done"
    SNOOZE_HOUR = "snooze_hour"
    SNOOZE_DAY = "snooze_day"
    APPROVE = "approve"
    DECLINE = "decline"


LABELS: Mapping[Button, str] = {
    Button.ACKNOWLEDGE: "Acknowledge",
    Button.TAKE: "Take it",
    Button.DONE: "Done",
    Button.SNOOZE_HOUR: "Snooze for 1 hour",
    Button.SNOOZE_DAY: "Snooze until tomorrow",
    Button.APPROVE: "Approve",
    Button.DECLINE: "Decline",
}
MEANINGS: Mapping[Button, str] = {
    Button.ACKNOWLEDGE: "you take care of it. Nobody else is asked; the task stays open.",
    Button.TAKE: "the task is assigned to you in its system. Nobody else is asked.",
    Button.DONE: "the task is completed in its system.",
    Button.SNOOZE_HOUR: "this message comes again in an hour, unless the task has changed.",
    Button.SNOOZE_DAY: "this message comes again tomorrow at eight, unless the task has changed.",
}
"""What a button does, in words, before it is pressed."""
DONE: Mapping[Button, str] = {
    Button.ACKNOWLEDGE: "It was acknowledged just now.",
    Button.TAKE: "The task is yours: it is being assigned to you in its system.",
    Button.DONE: "The task is being completed.",
    Button.SNOOZE_HOUR: "This message comes again in an hour.",
    Button.SNOOZE_DAY: "This message comes again tomorrow at eight.",
}
"""What a button did, in words, after it was pressed."""
WORDS: Mapping[str, tuple[Button, ...]] = {
    "acknowledge": (Button.ACKNOWLEDGE,),
    "take": (Button.TAKE,),
    "done": (Button.DONE,),
    "snooze": (Button.SNOOZE_HOUR, Button.SNOOZE_DAY),
}
"""What a rule writes under `buttons`."""


def acknowledged_by(name: str | None) -> str:
    """Why an escalation has ended, if a person of this name takes care of the task."""
    return f"{name or 'someone'} acknowledged the task"


def snoozed_until(button: Button, now: datetime, zone: ZoneInfo) -> datetime:
    """When a message is said again that was snoozed now (UTC)."""
    if button is Button.SNOOZE_HOUR:
        return now + timedelta(hours=1)
    calendar = Calendar(zone)
    return calendar.at(calendar.day_of(now) + timedelta(days=1), _MORNING)
