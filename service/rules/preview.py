"""Counts the tasks that already match a new rule, and that it therefore ignores."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.model import Cause, Event, Kind, Task
from service.rules.language.expressions import EvaluationError
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import Scope
from service.rules.rule import Rule
from service.rules.ruleset import Ruleset
from service.rules.triggers import Trigger


def already_matching(
    rules: Ruleset, tasks: Iterable[Task], zones: Mapping[str, ZoneInfo], now: datetime
) -> dict[str, int]:
    """How many of these tasks each rule would have acted on, had it existed before.

    A rule for new tasks counts all tasks, one for completed tasks those that are done, one with an
    alarm the open ones whose alarm is past; in each case if the rule's conditions are true. Other
    changes leave no trace in a task: their rules count none. `zones` has the zone of every account,
    `now` is in UTC.
    """
    counts = dict.fromkeys((rule.id for rule in rules), 0)
    for task in tasks:
        for rule in rules:
            counts[rule.id] += _matches(rule, task, zones[task.account], now)
    return counts


def _matches(rule: Rule, task: Task, zone: ZoneInfo, now: datetime) -> bool:
    kind = _past(rule.trigger, task, zone, now)
    if kind is None:
        return False
    alarm = None if rule.trigger.alarm is None else str(rule.trigger.alarm)
    event = Event(0, task.account, task.id, kind, now, Cause.POLL, None, task, alarm=alarm)
    if not rule.listens_to(event):
        return False
    scope = Scope(event, now, zone, by_noun([rule.reads]))
    try:
        return all(condition.test(scope.activation, zone) for condition in rule.conditions)
    except EvaluationError:
        return False


def _past(trigger: Trigger, task: Task, zone: ZoneInfo, now: datetime) -> Kind | None:
    """The kind of event that must have happened to the task in this state; None if none has."""
    if (alarm := trigger.alarm) is not None:
        at = alarm.instant(task, zone)
        rang = task.is_open and at is not None and at <= now
        return alarm.kind if rang and not alarm.is_pointless(task, now, zone) else None
    if Kind.COMPLETED in trigger.kinds and len(trigger.kinds) == 1:
        return Kind.COMPLETED if task.done else None
    return Kind.CREATED if Kind.CREATED in trigger.kinds else None
