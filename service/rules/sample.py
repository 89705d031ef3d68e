"""What a rule would send about a task, as if its event happened: a pure function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from service.domain.digests import Group
from service.domain.model import Cause, Event, Kind, Task
from service.domain.schedules import Schedule
from service.rules.language.expressions import EvaluationError
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import Scope
from service.rules.language.templates import RenderError
from service.rules.language.vocabulary import NO_ZONES
from service.rules.rule import Rule
from service.rules.verdict import Plan


@dataclass(frozen=True, slots=True)
class Sample:
    """The messages that a rule would plan at `at` (UTC), after its waits.

    - `event`: the one that it is rendered for; its id is 0 if it has not happened
    - `refusal`: why the rule would not act on it
    - `failure`: why nothing could be rendered
    """

    event: Event
    at: datetime
    refusal: str | None = None
    failure: str | None = None
    plans: tuple[Plan, ...] = ()


def sample(
    rule: Rule,
    task: Task,
    happened: Sequence[Event],
    now: datetime,
    zone: ZoneInfo,
    zones: Mapping[str, ZoneInfo] = NO_ZONES,
) -> Sample:
    """What the rule would send about the task as it is, whether its conditions are met or not.

    `happened` are the task's events: the last that triggers the rule is taken, as if it came now.
    `zone` is that of the task's account. `zones` are those of all accounts, for `together`.
    """
    there = zones.get(rule.together or "", zone)
    event = _event(rule, task, happened, _comes_at(rule, task, now, zone, there))
    scope = Scope(event, event.at, zone, by_noun([rule.reads]))
    refusal = _refusal(rule, scope)
    try:
        decided_at = _decided_at(rule, event.at, there)
        plans = rule.planning.plans(_when_decided(rule, scope, decided_at, there))
    except (EvaluationError, RenderError) as error:
        return Sample(event, event.at, refusal, failure=str(error))
    return Sample(event, decided_at, refusal, plans=plans)


def _event(rule: Rule, task: Task, happened: Sequence[Event], at: datetime) -> Event:
    heard = [one for one in happened if rule.listens_to(one)]
    if not heard:
        return _invented(rule, task, at)
    last = heard[-1]
    return replace(last, at=at, after=None if last.after is None else task)


def _invented(rule: Rule, task: Task, at: datetime) -> Event:
    """An event that triggers the rule and changes nothing."""
    trigger = rule.trigger
    kind = Kind.CHANGED if Kind.CHANGED in trigger.kinds else min(trigger.kinds)
    cause = Cause.POLL if trigger.is_change else Cause.CLOCK
    is_gone = kind is Kind.DELETED
    return Event(
        id=0,
        account=task.account,
        task_id=task.id,
        kind=kind,
        at=at,
        cause=cause if trigger.signal is None else Cause.SIGNAL,
        before=task if is_gone or (trigger.is_change and kind is not Kind.CREATED) else None,
        after=None if is_gone else task,
        changed=tuple(sorted(trigger.fields)),
        alarm=trigger.cron if trigger.alarm is None else str(trigger.alarm),
        signal=trigger.signal,
    )


def _comes_at(rule: Rule, task: Task, now: datetime, zone: ZoneInfo, there: ZoneInfo) -> datetime:
    """When its alarm or its schedule comes, if that is still to come; else now."""
    at = None if rule.trigger.alarm is None else rule.trigger.alarm.instant(task, zone)
    if rule.trigger.cron is not None:
        at = Schedule(rule.trigger.cron, there).after(now)
    return max(at or now, now)


def _decided_at(rule: Rule, at: datetime, zone: ZoneInfo) -> datetime:
    """When its waits are over: `settle`, `for`, and the collecting of a combined message."""
    at += rule.settle.quiet if rule.settle is not None else rule.lasts or timedelta(0)
    if rule.grouping is None or rule.for_each is not None:
        return at
    return rule.planning.timing.until_open(None, at + rule.grouping.wait, zone)


def _when_decided(rule: Rule, scope: Scope, at: datetime, there: ZoneInfo) -> Scope:
    """The event when the rule decides; a combined message is about this task alone."""
    reads, task = by_noun([rule.reads]), scope.event.task
    if rule.grouping is None:
        return Scope(scope.event, at, scope.zone, reads)
    group = Group(rule.group_key(scope), (task,), 1)
    account = rule.together or scope.event.account
    told = replace(scope.event, account=account, task_id="", before=None, after=None)
    return Scope(told, at, there, reads, group, {task.account: scope.zone})


def _refusal(rule: Rule, scope: Scope) -> str | None:
    """Why the rule would not act on this event: its accounts, its selection, or its conditions."""
    if rule.accounts is not None and scope.event.account not in rule.accounts:
        return f"the rule is only for {', '.join(sorted(rule.accounts))}"
    refused = rule.refusal(scope)
    try:
        if rule.for_each and not rule.for_each.takes(scope.event.task, scope.now, scope.zone):
            return "its for_each does not choose the task"
    except EvaluationError as error:
        return str(error)
    return None if refused is None else refused.reason
