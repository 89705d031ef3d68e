"""Renders the text of a customer message again, just before it is sent, if its task has changed.

The text is rendered for the current task; `before` stays as the customer was last told. This does
not apply to messages whose text the system writes. Digests are rebuilt (`service.rules.revision`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from service.domain.diff import diff
from service.domain.field_values import said_value
from service.domain.model import DAYS, Event, Kind, State, Task
from service.rules.digests import listed
from service.rules.language.date_format import shown
from service.rules.language.scope import Scope
from service.rules.language.templates import RenderError
from service.rules.message_basis import MessageBasis
from service.rules.revision import RevisedMessage, cancelled, is_elsewhere
from service.rules.rule import Rule
from service.rules.ruleset import Ruleset
from service.rules.verdict import FAILURE, Plan
from service.telemetry.visible import visible

_Message: TypeAlias = tuple[str, str | None, str]
"""Its text, its subject and its receiver's address."""

_CHANGES = frozenset({Kind.RESCHEDULED, Kind.REASSIGNED, Kind.CHANGED})
_UP_TO_DATE = "the text was brought up to date"
_ENOUGH = 60  # characters of a value in a reason


@dataclass(frozen=True, slots=True)
class NewText:
    """The text and subject with which a message is sent, and why they are not as planned.

    `markup` as in `Plan`.
    """

    text: str
    subject: str | None
    reason: str
    markup: tuple[int, ...] = ()


def rewriting(
    grounds: MessageBasis, task: Task | None, rules: Ruleset, now: datetime, zone: ZoneInfo
) -> NewText | RevisedMessage | None:
    """The new text of a message about a single task as it is now; None if it is sent as planned.

    It is not sent if the change that it reports was undone, or if its text cannot be written anew.
    If the customer's address has changed, another message goes there instead. A person who approved
    it with the old text is asked again.
    """
    if task is None or grounds.tells_of is not None or grounds.channel == "customer":
        return None
    rule = rules.get(grounds.rule)
    event = _as_of_now(grounds, task, rule)
    if event is None:
        return RevisedMessage(cancelled("the change that it reports was undone"))
    try:
        plan = _outdated(grounds, event, rule, now, zone)
    except RenderError as error:
        return _unwritable(grounds, task, str(error))
    if plan is None:
        return None
    fields = rules.fields_in_texts(grounds.rule, grounds.step, grounds.once_key)
    changes = listed(list(_changes(grounds.event.task, task, fields, zone)))
    said = None
    if plan.target != grounds.target:
        said = "the customer's address has changed, and a new message goes there"
    elif grounds.is_approved and plan.state is not State.PLANNED:
        said = "it was approved with a text that is out of date, so approval is asked for again"
    if said is not None:
        return RevisedMessage(cancelled(_with(said, changes)), anew=plan)
    return NewText(plan.text, plan.subject, _with(_UP_TO_DATE, changes), plan.markup)


def _as_of_now(grounds: MessageBasis, task: Task, rule: Rule | None) -> Event | None:
    """The event that is told of, with the task as it is now; None if nothing is left of it.

    A rule that waited has told of what was left of all changes by then.
    """
    event = replace(grounds.event, after=task)
    if rule is not None and rule.has_waited:
        event = replace(event, at=grounds.decided_at)
    if event.kind not in _CHANGES or event.before is None or not event.changed:
        return event
    net = [replace(event, kind=one.kind, changed=one.changed) for one in diff(event.before, task)]
    if rule is not None and rule.settle is not None:
        left = next((one for one in net if rule.listens_to(one)), None)
    else:
        left = next((event for one in net if _is_about(one, grounds.event)), None)
    return event if left is None and grounds.is_asked_for else left


def _is_about(one: Event, told: Event) -> bool:
    return one.kind is told.kind and not set(one.changed).isdisjoint(told.changed)


def _outdated(
    grounds: MessageBasis, event: Event, rule: Rule | None, now: datetime, zone: ZoneInfo
) -> Plan | None:
    """The message as it would be planned `now`, if its task makes it another one.

    Whether it does is found out for the time of the decision: a text may also show the time. Raises
    RenderError.
    """
    fresh = _message(_planned(grounds, event, rule, grounds.decided_at, zone))
    told = grounds.text, grounds.subject, grounds.target
    if fresh == told or not _is_news(grounds, fresh, rule, zone):
        return None
    if _speaks_of_failure(fresh):
        raise RenderError("it also says why another message failed")
    return _planned(grounds, event, rule, now, zone)


def _is_news(grounds: MessageBasis, fresh: _Message, rule: Rule | None, zone: ZoneInfo) -> bool:
    """Whether a message differs because of the task, and not only because its rule was edited.

    What a rule has planned after a wait, or an earlier attempt has written, is not known any more.
    """
    is_unknown = grounds.was_tried or (rule is not None and rule.has_waited)
    if is_unknown and not _speaks_of_failure(fresh):
        return True
    try:
        return fresh != _message(_planned(grounds, grounds.event, rule, grounds.decided_at, zone))
    except RenderError:
        return True


def _speaks_of_failure(message: _Message) -> bool:
    return any(FAILURE in (text or "") for text in message)


def _planned(
    grounds: MessageBasis, event: Event, rule: Rule | None, now: datetime, zone: ZoneInfo
) -> Plan:
    if rule is None:
        raise RenderError("the rule was removed or switched off")
    scope = Scope(event, now, zone, {})
    plan = rule.planning.anew(grounds.step, grounds.once_key, grounds.expires_at, scope)
    if plan is None or plan.channel != grounds.channel:
        raise RenderError("the rule no longer has this step")
    if plan.state is State.SKIPPED:  # they have no address any more
        return plan
    if not plan.reaches_customer:  # perhaps it is another step by now
        raise RenderError(
            f"the rule would send it to {plan.receiver}, which is not a customer of it"
        )
    return plan


def _message(plan: Plan) -> _Message:
    return plan.text, plan.subject, plan.target


def _unwritable(grounds: MessageBasis, task: Task, why: str) -> RevisedMessage | None:
    """The objection to a message that cannot be written anew; None if its task is as it was."""
    then = grounds.event.task
    changed = next((name for one in diff(then, task) for name in one.changed), None)
    if changed is None and is_elsewhere(grounds, then, task):
        changed = "customer's address"
    if changed is None:
        return None
    said = f"the task's {changed} has changed, and the text could not be brought up to date: {why}"
    return RevisedMessage(cancelled(said))


def _changes(then: Task, now: Task, told: frozenset[str], zone: ZoneInfo) -> Iterator[str]:
    """What has changed of the fields that the text shows, in words; dates are UTC."""
    changed = [name for one in diff(then, now) for name in one.changed if name in told]
    for name in changed:
        old, new = _said(then, name, zone), _said(now, name, zone)
        yield f"{name.replace('_', ' ')} changed from {old} to {new}"


def _said(task: Task, name: str, zone: ZoneInfo) -> str:
    value = getattr(task, name)
    if isinstance(value, datetime):
        is_day = getattr(task, DAYS.get(name, ""), False)
        return shown(value, zone, is_day=True) if is_day else f"{value:%Y-%m-%d %H:%M} UTC"
    said = visible(" ".join(said_value(value).split()))
    return said if len(said) <= _ENOUGH else f"{said[:_ENOUGH]}…"


def _with(said: str, changes: str) -> str:
    return f"{said}: {changes}" if changes else said
