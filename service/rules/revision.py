"""Whether a message to a customer still stands: by its tasks as they are just before it is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.alarms import announced_by, date_of, has_moved
from service.domain.digests import DigestRebuild
from service.domain.model import Event, Group, Kind, State, Task
from service.rules import Ruleset, recipients
from service.rules.digests import listed
from service.rules.triggers import CLOCK_KINDS

ON_THE_WAY = "on_the_way"

_DATES = ("start", "due", "end")
_CANCELLED = "cancelled: "
_PLANS = frozenset({Kind.CREATED, Kind.RESCHEDULED, Kind.REASSIGNED})


@dataclass(frozen=True, slots=True)
class MessageBasis:
    """What a message to a customer rests on.

    `event` is why its rule wanted it, at `decided_at` (UTC). What a person has asked for need not
    be what the rule would want again, but what the task's system says counts for them as well.
    `expires_at` is until when it is wanted, `unread_since` since when the system could not be asked
    about it.

    One of a digest has the tasks that it `tells_of`, as they were told; it was made by this `step`
    under this `once_key`, and was to go out at `due_at`. `each` of them has grounds of its own,
    which are of one of several.
    """

    event: Event
    rule: str
    channel: str
    target: str
    decided_at: datetime
    is_asked_for: bool = False
    expires_at: datetime | None = None
    unread_since: datetime | None = None
    tells_of: Group | None = None
    step: int = 0
    once_key: str = ""
    due_at: datetime | None = None
    is_of_several: bool = False

    @property
    def is_news(self) -> bool:
        """Whether it is about a change of the task, and not about a time that has come."""
        return self.event.kind not in CLOCK_KINDS | {Kind.SIGNAL, Kind.SCHEDULED}

    @property
    def each(self) -> tuple["MessageBasis", ...]:
        """What it rests on, task by task."""
        if self.tells_of is None:
            return (self,)
        return tuple(self._of(task) for task in self.tells_of.tasks)

    def _of(self, told: Task) -> "MessageBasis":
        event = replace(self.event, task_id=told.id, at=self.decided_at, before=None, after=told)
        return replace(self, event=event, tells_of=None, is_of_several=True)

    def rebuild_digest(self, left: Group) -> DigestRebuild:
        """The same message, of the tasks that are left of those that it tells of."""
        event = replace(self.event, before=None, after=None)
        if event.kind is not Kind.SCHEDULED:
            event = replace(event, at=self.decided_at, changed=(), alarm=None, signal=None)
        return DigestRebuild(self.rule, event, left, self.step, self.once_key, self.expires_at)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message is not sent after all, and the state in which that leaves it."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class RevisedMessage:
    """Why a message is not sent as it is, and what is `left` of it to be told instead."""

    objection: Rejection
    left: Group | None = None

    def told(self, failure: str | None) -> Rejection:
        """The objection, and that what is left is told anew, or why it cannot be."""
        said = "a new message covers the remaining tasks"
        if failure is not None:
            said = f"the remaining tasks could not be sent in a new message: {failure}"
        return replace(self.objection, reason=f"{self.objection.reason}; {said}")


def revision(
    grounds: MessageBasis,
    present: Mapping[str, Task],
    rules: Ruleset,
    now: datetime,
    zone: ZoneInfo,
) -> RevisedMessage | None:
    """What speaks against the message, given those of its tasks (by id) that are there now."""
    found = {
        one.event.task_id: objection(one, present.get(one.event.task_id), rules, now, zone)
        for one in grounds.each
    }
    against = {task_id: one for task_id, one in found.items() if one is not None}
    if grounds.tells_of is not None:
        return _revised(grounds, grounds.tells_of, present, against, zone)
    return next((RevisedMessage(one) for one in against.values()), None)


def _revised(
    grounds: MessageBasis,
    told: Group,
    present: Mapping[str, Task],
    against: Mapping[str, Rejection],
    zone: ZoneInfo,
) -> RevisedMessage | None:
    """A digest goes without the tasks that something speaks against, and tells how others are."""
    refused = next((one for one in against.values() if one.state is State.SKIPPED), None)
    if refused is not None:
        return RevisedMessage(refused)
    kept = [one for one in told.tasks if one.id not in against]
    why = {task_id: one.reason.removeprefix(_CANCELLED) for task_id, one in against.items()}
    for one in kept:
        if (news := _otherwise(grounds, one, present[one.id], zone)) is not None:
            why[one.id] = news
    if not why:
        return None
    is_late = not kept and all(one.state is State.EXPIRED for one in against.values())
    reason = f"{_CANCELLED}{listed([f'{task_id}: {said}' for task_id, said in why.items()])}"
    said = Rejection(State.EXPIRED if is_late else State.CANCELLED, reason)
    if not kept:
        return RevisedMessage(said)
    left = tuple(present[one.id] for one in kept)
    return RevisedMessage(said, Group(told.key, left, told.size - len(against)))


def _otherwise(grounds: MessageBasis, told: Task, task: Task, zone: ZoneInfo) -> str | None:
    """What the text tells of a task that is still to be told of, and is otherwise by now."""
    moved = next((date for date in _DATES if has_moved(told, task, date, zone)), None)
    if moved is not None:
        return f"the task's {moved} has changed"
    return "the customer's address has changed" if _is_elsewhere(grounds, told, task) else None


def _is_elsewhere(grounds: MessageBasis, then: Task, task: Task) -> bool:
    """Whether the message would have reached the customer then, and would not now."""
    channel, target = grounds.channel, grounds.target
    reached = recipients.reaches_customer(then, channel, target)
    return reached and not recipients.reaches_customer(task, channel, target)


def objection(
    grounds: MessageBasis, task: Task | None, rules: Ruleset, now: datetime, zone: ZoneInfo
) -> Rejection | None:
    """What speaks against the message, given the task as it is now; None if it may be sent."""
    if grounds.event.kind is Kind.DELETED:
        return None if task is None else _cancelled("the task was restored")
    if task is None:
        return _cancelled("the task was deleted")
    if (refusal := recipients.customer_refusal(task, grounds.channel, grounds.target)) is not None:
        return Rejection(State.SKIPPED, refusal)
    if (field := _has_come(grounds, now, zone)) is not None:
        return Rejection(State.EXPIRED, f"too late: the task's {field} has passed")
    said = _by_state(grounds, task, rules, zone)
    if said is None and not grounds.is_asked_for:
        said = _by_rule(grounds, task, rules, now, zone)
    return None if said is None else _cancelled(said)


def _has_come(grounds: MessageBasis, now: datetime, zone: ZoneInfo) -> str | None:
    """The date of one of several tasks that was told ahead of it, and has come since it was due.

    A message about one task is not wanted any more by then.
    """
    due_at = grounds.due_at or grounds.decided_at
    if not grounds.is_of_several or grounds.is_asked_for:
        return None
    announced = announced_by(grounds.event.alarm, grounds.event.task, zone)
    return announced[0] if announced is not None and due_at < announced[1] <= now else None


def rests_on(grounds: MessageBasis, rules: Ruleset) -> frozenset[str]:
    """The fields of the task by which it is seen whether the message stands."""
    event = grounds.event
    date = (date_of(event.alarm) or "").partition(".")[0]
    asked = frozenset[str]() if grounds.is_asked_for else rules.asks_about(grounds.rule)
    by_kind = {date} if event.kind in CLOCK_KINDS else set(event.changed)
    whom = {"customer"} | ({"assignee", "assignees"} if grounds.target == ON_THE_WAY else set())
    return asked | by_kind | whom | {"done"}


def _cancelled(why: str) -> Rejection:
    return Rejection(State.CANCELLED, f"{_CANCELLED}{why}")


def _by_state(grounds: MessageBasis, task: Task, rules: Ruleset, zone: ZoneInfo) -> str | None:
    """What has become untrue of the task since."""
    event = grounds.event
    then = event.task
    if (said := _by_completion(grounds, task, rules)) is not None:
        return said
    if event.kind in CLOCK_KINDS:
        date = date_of(event.alarm)
        if date is not None and has_moved(then, task, date, zone):
            return f"the task's {date.replace('_', ' ')} has changed"
        if grounds.target == ON_THE_WAY and not (task.assignees or task.assignee):
            return "no one is assigned, so no one is on the way"
    is_for_another = _is_for_another(grounds, then, task)
    return "the task now belongs to another customer" if is_for_another else None


def _by_completion(grounds: MessageBasis, task: Task, rules: Ruleset) -> str | None:
    """Whether it is done or open, unlike what the message rests on.

    What is planned with a task that is done by then is nobody's plan any more, unless its rule asks
    for that.
    """
    event = grounds.event
    if task.done != event.task.done and not rules.writes_by(grounds.rule):
        return f"the task {'is done' if task.done else 'is open again'}"
    if grounds.is_of_several:
        return None  # it was told as it was, done or not
    if task.done and event.kind in _PLANS and not rules.asks_whether_done(grounds.rule):
        return "the task is done"
    return None


def _is_for_another(grounds: MessageBasis, then: Task, task: Task) -> bool:
    """Whether it has another customer; without an id another address is all that tells so."""
    if then.customer is None or then.customer.id is None:
        return _is_elsewhere(grounds, then, task)
    return task.customer is None or task.customer.id != then.customer.id


def _by_rule(
    grounds: MessageBasis, task: Task, rules: Ruleset, now: datetime, zone: ZoneInfo
) -> str | None:
    """What the rule says of the task as it is now."""
    if rules.until(grounds.rule, task, now):
        return "the rule's `until` condition is now true"
    event = replace(grounds.event, after=task)
    said = rules.refusal_now(grounds.rule, event, grounds.decided_at, zone)
    if said is None or not grounds.is_of_several:
        return said
    # When it joined its digest is not kept: what refuses it by the time alone is no news.
    before = rules.refusal_now(grounds.rule, grounds.event, grounds.decided_at, zone)
    return said if before is None else None
