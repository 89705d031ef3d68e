"""Checks just before sending whether a message to a customer is still valid."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.alarms import CLOCK_KINDS, announced_by, date_of, has_moved
from service.domain.diff import diff
from service.domain.digests import Group
from service.domain.model import Kind, State, Task
from service.rules import recipients
from service.rules.digests import listed
from service.rules.message_basis import NO_LONGER_NEEDED, MessageBasis
from service.rules.ruleset import Ruleset
from service.rules.verdict import Plan

ON_THE_WAY = "on_the_way"
DETAILS = "details"

_DATES = ("start", "due", "end")
_CANCELLED = "cancelled: "
_PLANS = frozenset({Kind.CREATED, Kind.RESCHEDULED, Kind.REASSIGNED})


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message is not sent after all, and its resulting state."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class RevisedMessage:
    """Why a message is not sent, and what a replacement is made of.

    That is the tasks `left` of a digest, or the plan of the same message with a new text (`anew`).
    """

    objection: Rejection
    left: Group | None = None
    anew: Plan | None = None

    def told(self, failure: str | None) -> Rejection:
        """The objection, and that a new message replaces this one, or why that is not possible."""
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
    """The objection to the message, given those of its tasks (by id) that exist now."""
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
    """The revision of a digest: without the tasks that have an objection, and with new dates."""
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
    """What has changed in a remaining task, so that the text about it is wrong; None: nothing."""
    moved = next((date for date in _DATES if has_moved(told, task, date, zone)), None)
    if moved is not None:
        return f"the task's {moved} has changed"
    return "the customer's address has changed" if is_elsewhere(grounds, told, task) else None


def is_elsewhere(grounds: MessageBasis, then: Task, task: Task) -> bool:
    """Whether the message would have reached the customer then, and would not now."""
    channel, target = grounds.channel, grounds.target
    reached = recipients.reaches_customer(then, channel, target)
    return reached and not recipients.reaches_customer(task, channel, target)


def superseded(grounds: MessageBasis, task: Task | None) -> RevisedMessage | None:
    """The objection if the change that the message tells of was followed by another of its fields.

    It is to be made only if a later message tells of that. What the system itself words is told as
    it is now.
    """
    event = grounds.event
    if grounds.channel == "customer" or grounds.tells_of is not None or grounds.is_asked_for:
        return None
    later = (one for one in diff(event.after, task) if one.kind is event.kind)
    again = (name for one in later for name in one.changed if name in event.changed)
    field = next(again, None)
    if field is None:
        return None
    said = f"the task's {field} has changed again, and a later message covers that"
    return RevisedMessage(cancelled(said))


def objection(
    grounds: MessageBasis, task: Task | None, rules: Ruleset, now: datetime, zone: ZoneInfo
) -> Rejection | None:
    """The objection to the message, given the task as it is now; None if it may be sent."""
    if grounds.event.kind is Kind.DELETED:
        return None if task is None else cancelled("the task was restored")
    if task is None:
        return cancelled("the task was deleted")
    if (refusal := recipients.customer_refusal(task, grounds.channel, grounds.target)) is not None:
        return Rejection(State.SKIPPED, refusal)
    if (field := _has_come(grounds, now, zone) or _is_over(grounds, task, now)) is not None:
        return Rejection(State.EXPIRED, f"too late: the task's {field} has passed")
    said = _by_state(grounds, task, rules, zone)
    if said is None and not grounds.is_asked_for:
        said = _by_rule(grounds, task, rules, now, zone)
    return None if said is None else cancelled(said)


def _has_come(grounds: MessageBasis, now: datetime, zone: ZoneInfo) -> str | None:
    """For a task of a digest: its announced date, if it has passed since the digest was due.

    A message about a single task has expired by then.
    """
    due_at = grounds.due_at or grounds.decided_at
    if not grounds.is_of_several or grounds.is_asked_for:
        return None
    announced = announced_by(grounds.event.alarm, grounds.event.task, zone)
    return announced[0] if announced is not None and due_at < announced[1] <= now else None


def _is_over(grounds: MessageBasis, task: Task, now: datetime) -> str | None:
    """The last date of a visit, if it has passed since a rule wanted to tell its plan.

    Only where the system words the message: nobody needs the details of a visit that is over.
    """
    is_of_plan = grounds.event.kind in _PLANS and grounds.channel == "customer"
    if not is_of_plan or grounds.target != DETAILS or grounds.is_asked_for:
        return None
    dates = {name: getattr(task, name) for name in _DATES}
    if task.start_is_day:
        del dates["start"]
    known = [(date, name) for name, date in dates.items() if date is not None]
    if not known:
        return None
    last, name = max(known)
    return name if grounds.decided_at < last <= now else None


def rests_on(grounds: MessageBasis, rules: Ruleset) -> frozenset[str]:
    """The fields of the task that decide whether the message is still valid, and what it says."""
    event = grounds.event
    date = (date_of(event.alarm) or "").partition(".")[0]
    asked = frozenset[str]() if grounds.is_asked_for else rules.asks_about(grounds.rule)
    by_kind = {date} if event.kind in CLOCK_KINDS else set(event.changed)
    told = rules.fields_in_texts(grounds.rule, grounds.step, grounds.once_key)
    told = frozenset() if grounds.is_of_several else told
    whom = {"customer"} | ({"assignee", "assignees"} if grounds.target == ON_THE_WAY else set())
    return asked | by_kind | told | whom | {"done"}


def cancelled(why: str) -> Rejection:
    """The objection that cancels a message, for this reason."""
    return Rejection(State.CANCELLED, f"{_CANCELLED}{why}")


def _by_state(grounds: MessageBasis, task: Task, rules: Ruleset, zone: ZoneInfo) -> str | None:
    """The objection from the task's state: what is no longer true of it."""
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
    """The objection that the task is done, or open again.

    A message about the plan of a task is not valid once the task is done, unless its rule asks for
    that.
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
    """Whether it has another customer; a customer without an id is compared by address."""
    if then.customer is None or then.customer.id is None:
        return is_elsewhere(grounds, then, task)
    return task.customer is None or task.customer.id != then.customer.id


def _by_rule(
    grounds: MessageBasis, task: Task, rules: Ruleset, now: datetime, zone: ZoneInfo
) -> str | None:
    """The objection of the rule to the task as it is now."""
    if rules.until(grounds.rule, task, now):
        return NO_LONGER_NEEDED
    event = replace(grounds.event, after=task)
    said = rules.refusal_now(grounds.rule, event, grounds.decided_at, zone)
    if said is None:
        return None
    unmet = f"the task no longer meets the rule's conditions ({said})"
    if not grounds.is_of_several:
        return unmet
    # When it joined its digest is not stored: a refusal that existed then is not a change.
    before = rules.refusal_now(grounds.rule, grounds.event, grounds.decided_at, zone)
    return unmet if before is None else None
