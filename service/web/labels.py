"""Texts of the operator page: plain words, local times."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.system_actions import BUILT_IN, NOTIFICATIONS, in_words
from service.explain.account_status import Told

CAUSES = {
    "webhook": "reported at once, by webhook",
    "poll": "found when Taskbell read the system",
    "fetch": "found when Taskbell asked for this task",
    "clock": "at the planned time",
    "signal": "reported by an app or a button (signal)",
    "write": "changed by Taskbell",
    "person": "a person said so",
}

HAPPENINGS = {
    "created": "is new",
    "completed": "is done",
    "reopened": "was reopened",
    "rescheduled": "was rescheduled",
    "reassigned": "was reassigned",
    "changed": "was changed",
    "deleted": "was deleted",
    "restored": "was restored",
    "acknowledged": "was acknowledged",
    "due_soon": "is due soon",
    "overdue": "is overdue",
    "starting_soon": "starts soon",
    "reminder": "has a reminder due",
    "signal": "received a signal",
    "scheduled": "was chosen by a schedule",
}

MILESTONES = {
    "created": "Created",
    "completed": "Done",
    "reopened": "Reopened",
    "rescheduled": "Rescheduled",
    "reassigned": "Reassigned",
    "changed": "Changed",
    "deleted": "Deleted",
    "restored": "Restored",
    "acknowledged": "Acknowledged",
    "due_soon": "Due soon",
    "overdue": "Overdue",
    "starting_soon": "Starts soon",
    "reminder": "Reminder due",
    "signal": "Signal",
    "scheduled": "Chosen by a schedule",
}

STATES = {
    "planned": "waiting",
    "held": "waiting",
    "sending": "being sent",
    "sent": "sent",
    "failed": "failed",
    "unknown": "may have arrived",
    "skipped": "skipped",
    "cancelled": "cancelled",
    "expired": "too late",
}

# By the names of outcomes of rules.
DECISIONS = {
    "matched": "acted",
    "settling": "waits",
    "gathered": "waits for a combined message",
    "not_matched": "did not act",
    "lapsed": "stopped waiting",
    "failed": "could not decide",
    "given_up": "stopped waiting",
    "missed": "too late",
}

# How an attempt to send ended, by the names of `AttemptOutcome`.
OUTCOMES = {
    "sent": "sent",
    "refused": "refused",
    "failed": "failed",
    "unknown": "may have arrived",
    "no_answer": "no answer; may have arrived",
}

# By the names of actions: a verb, what its subject is, and the beginning of the subject's address.
DEEDS = {
    "message.retried": ("sent again", "message", "/messages/"),
    "message.hurried": ("sent early:", "message", "/messages/"),
    "message.cancelled": ("cancelled", "message", "/messages/"),
    "message.dismissed": ("dismissed", "message", "/messages/"),
    "message.resolved": ("recorded the result of", "message", "/messages/"),
    "message.approved": ("approved", "message", "/messages/"),
    "message.declined": ("declined", "message", "/messages/"),
    "message.answered": ("answered", "message", "/messages/"),
    "messages.retried": ("sent several messages again:", "all", ""),
    "messages.dismissed": ("dismissed several messages:", "all", ""),
    "storm.released": ("released messages on hold:", "number", ""),
    "storm.dropped": ("discarded messages on hold:", "number", ""),
    "hold.begun": ("put all customer messages on hold:", "number", ""),
    "hold.released": ("released all customer messages:", "number", ""),
    "silence.added": ("started", "silence", ""),
    "silence.ended": ("ended", "silence", ""),
    "contact.refused": ("stopped all messages to", "", ""),
    "contact.admitted": ("allowed messages to", "", ""),
    "account.paused": ("paused", "account", "/connections#account-"),
    "account.resumed": ("resumed", "account", "/connections#account-"),
    "account.synced": ("started a full read of", "account", "/connections#account-"),
    "webhook.retried": ("retried", "webhook", "/webhooks/"),
    "webhook.ignored": ("ignored", "webhook", "/webhooks/"),
    "channel.tested": ("sent a test message by", "channel", "/connections#channel-"),
    "rule.switched": ("switched", "rule", "/rules/"),
    "rule.tried": ("tried on the last 30 days:", "rule", "/backtests/"),
    "task.acknowledged": ("acknowledged", "task", "/tasks/"),
    "task.assigned": ("assigned", "task", "/tasks/"),
    "task.completed": ("completed", "task", "/tasks/"),
    "file.saved": ("saved", "the file", "/rules/edit?file="),
    "signed.in": ("signed in", "", ""),
    "signed.out": ("signed out", "", ""),
    "sign-in.failed": ("could not sign in as", "", ""),
}
# How a customer's choice came to Taskbell.
THROUGH = {
    "page": "on this page",
    "cli": "on the command line",
    "api": "by another program",
    "link": "by a link in a message",
    "reply": "by a reply to a text message",
}
MODES = {"on": "on", "trial": "on trial", "off": "off"}
MODE_BUTTONS = {"on": "Switch on", "trial": "Switch to trial", "off": "Switch off"}
SWITCHED = {"on": "Switched on", "trial": "Switched to trial", "off": "Switched off"}

_STORED_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
# As the texts of rules have it, in the zone of the account: `Fri 6 Mar 2026, 14:05`.
_WRITTEN_TIME = re.compile(r"\b[A-Z][a-z]{2} \d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d\b")
_NOW = timedelta(seconds=10)  # that far away one says "just now"
_UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)


def local(moment: datetime, zone: ZoneInfo) -> str:
    """Such as `Fri 6 Mar, 14:05`."""
    there = moment.astimezone(zone)
    return f"{there:%a} {there.day} {there:%b}, {there:%H:%M}"


def day(one: date) -> str:
    """Such as `Fri 6 Mar`."""
    return f"{one:%a} {one.day} {one:%b}"


def place(zone: ZoneInfo, usual: ZoneInfo | None = None) -> str:
    """The suffix of a time that is not in the usual zone, if there is one: ` (New York)`."""
    return "" if zone == usual else f" ({zone.key.rpartition('/')[2].replace('_', ' ')})"


def teller(zone: ZoneInfo, usual: ZoneInfo) -> Told:
    """Returns a function that shows a time: in the zone, which is named if it is not the usual."""
    return lambda moment: f"{local(moment, zone)}{place(zone, usual)}"


def in_local_time(reason: str, zone: ZoneInfo, usual: ZoneInfo) -> str:
    """A reason with its times, which are stored as `2026-03-06 14:05 UTC`, as `teller` shows them.

    A text that only looks like a time is not changed. Times that rules have written in the zone
    get its name if it is not the usual one.
    """
    tell = teller(zone, usual)
    reason = _WRITTEN_TIME.sub(lambda found: f"{found[0]}{place(zone, usual)}", reason)
    return _STORED_TIME.sub(lambda found: _retold(found[0], tell), reason)


def _retold(stored: str, tell: Told) -> str:
    try:
        return tell(datetime.strptime(stored, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC))
    except ValueError:
        return stored


def from_now(moment: datetime, now: datetime) -> str:
    """Such as `in 2 hours` or `12 seconds ago`; `just now` is less than ten seconds ago."""
    away = abs(moment - now)
    for unit, name in _UNITS:
        if away >= max(unit, _NOW):
            count = away // unit
            said = f"{count} {name}{'' if count == 1 else 's'}"
            return f"in {said}" if moment > now else f"{said} ago"
    return "in a moment" if moment > now else "just now"


def deed(action: str) -> tuple[str, str, str]:
    """The entry of `DEEDS`; also for an action that only a later version has."""
    return DEEDS.get(action, (action, "", ""))


def many(count: int, noun: str) -> str:
    """Such as `1 task` or `12,400 tasks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def took(milliseconds: int | None) -> str:
    """Such as `35 ms` or `2.4 s`; empty if it is not known."""
    if milliseconds is None:
        return ""
    second = 1000
    return f"{milliseconds} ms" if milliseconds < second else f"{milliseconds / second:,.1f} s"


def progress(read: int, total: int | None) -> str:
    """Such as `12,400 tasks`, or `12,400 of 200,000 tasks`."""
    return many(read, "task") if total is None else f"{read:,} of {many(total, 'task')}"


def state_of(one: Mapping[str, Any]) -> str:
    """The state of a delivery in words, with what it waits for if that is a person."""
    if one["taken_back"]:
        return "withdrawn after sending"
    if one["on_hold"]:
        return "on hold"
    return "waiting for approval" if one["asks"] else STATES[one["state"]]


def goes_by_account(channel: str) -> bool:
    """Whether it is sent through the account's own system."""
    return channel in BUILT_IN


def receiver(channel: str, target: str) -> str:
    """The receiver of a delivery, such as `slack #office` or `customer: on the way`."""
    if channel in NOTIFICATIONS:
        return in_words(channel, target)
    return f"{channel} {target}".replace("_", " ") if target else channel.replace("_", " ")
