"""Whether a message to a customer still stands: by the task as it is just before it is sent."""

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from service.alarms import date_of, has_moved
from service.model import Event, Kind, State, Task
from service.rules import Ruleset, customers
from service.rules.triggers import CLOCK_KINDS

ON_THE_WAY = "on_the_way"

_PLANS = frozenset({Kind.CREATED, Kind.RESCHEDULED, Kind.REASSIGNED})


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a message to a customer rests on.

    `event` is why its rule wanted it, at `decided_at` (UTC). What a person has asked for need not
    be what the rule would want again, but what the task's system says counts for them as well.
    `expires_at` is until when it is wanted, `unread_since` since when the system could not be asked
    about it.
    """

    event: Event
    rule: str
    channel: str
    target: str
    decided_at: datetime
    is_asked_for: bool = False
    expires_at: datetime | None = None
    unread_since: datetime | None = None

    @property
    def is_news(self) -> bool:
        """Whether it is about a change of the task, and not about a time that has come."""
        return self.event.kind not in CLOCK_KINDS | {Kind.SIGNAL, Kind.SCHEDULED}


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a message is not sent after all, and the state in which that leaves it."""

    state: State
    reason: str


def objection(
    grounds: Grounds, task: Task | None, rules: Ruleset, now: datetime, zone: ZoneInfo
) -> Objection | None:
    """What speaks against the message, given the task as it is now; None if it may be sent."""
    if grounds.event.kind is Kind.DELETED:
        return None if task is None else _withdrawn("the task is there again")
    if task is None:
        return _withdrawn("the task is gone")
    if (refusal := customers.refusal(task, grounds.channel, grounds.target)) is not None:
        return Objection(State.SKIPPED, refusal)
    said = _by_state(grounds, task, rules, zone)
    if said is None and not grounds.is_asked_for:
        said = _by_rule(grounds, task, rules, now, zone)
    return None if said is None else _withdrawn(said)


def rests_on(grounds: Grounds, rules: Ruleset) -> frozenset[str]:
    """The fields of the task by which it is seen whether the message stands."""
    event = grounds.event
    date = (date_of(event.alarm) or "").partition(".")[0]
    asked = frozenset[str]() if grounds.is_asked_for else rules.asks_about(grounds.rule)
    by_kind = {date} if event.kind in CLOCK_KINDS else set(event.changed)
    whom = {"customer"} | ({"assignee", "assignees"} if grounds.target == ON_THE_WAY else set())
    return asked | by_kind | whom | {"done"}


def _withdrawn(why: str) -> Objection:
    return Objection(State.CANCELLED, f"withdrawn: {why}")


def _by_state(grounds: Grounds, task: Task, rules: Ruleset, zone: ZoneInfo) -> str | None:
    """What has become untrue of the task since."""
    event = grounds.event
    then = event.task
    if (said := _by_completion(grounds, task, rules)) is not None:
        return said
    if event.kind in CLOCK_KINDS:
        date = date_of(event.alarm)
        if date is not None and has_moved(then, task, date, zone):
            return f"the task has another {date.replace('_', ' ')} by now"
        if grounds.target == ON_THE_WAY and not (task.assignees or task.assignee):
            return "nobody is assigned, so nobody is on the way"
    return "it is for another customer by now" if _is_for_another(then, task) else None


def _by_completion(grounds: Grounds, task: Task, rules: Ruleset) -> str | None:
    """Whether it is done or open, unlike what the message rests on.

    What is planned with a task that is done by then is nobody's plan any more, unless its rule asks
    for that.
    """
    event = grounds.event
    if task.done != event.task.done and not rules.writes_by(grounds.rule):
        return f"the task {'is done' if task.done else 'is open again'}"
    if task.done and event.kind in _PLANS and not rules.asks_whether_done(grounds.rule):
        return "the task is done"
    return None


def _is_for_another(then: Task, task: Task) -> bool:
    if then.customer is None or then.customer.id is None:
        return False
    return task.customer is None or task.customer.id != then.customer.id


def _by_rule(
    grounds: Grounds, task: Task, rules: Ruleset, now: datetime, zone: ZoneInfo
) -> str | None:
    """What the rule says of the task as it is now."""
    if rules.until(grounds.rule, task, now):
        return "the rule's until is true"
    event = replace(grounds.event, after=task)
    return rules.refusal_now(grounds.rule, event, grounds.decided_at, zone)
