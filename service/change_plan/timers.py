"""How a change of rules or time zone affects a task's alarms."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from service.change_plan import PendingEffect, Side
from service.domain.alarm_sets import AlarmSet, carried_over, owed
from service.domain.alarms import OVERDUE, Alarm, AnnouncedUntil, was_announced
from service.domain.model import Task
from service.rules.ruleset import Ruleset
from service.store.tasks import TaskState


@dataclass(frozen=True, slots=True)
class Timer:
    """A rule's alarm for a task: the effect on it, and when it fires then (UTC; None: never)."""

    rule: str
    fate: PendingEffect
    rings_at: datetime | None


def timers(known: TaskState, account: str, old: Side, new: Side, now: datetime) -> Iterator[Timer]:
    """Every alarm that would have fired for this task before the change, or will fire after it."""
    task = known.present
    if task is None or not task.is_open:
        return
    before = dict(_pending(old, account, task, known.announced_until))
    after = dict(_afterwards(known, task, account, old, new, now))
    for rule in {**before, **after}:
        yield Timer(rule, _effect(before.get(rule), after.get(rule), now), after.get(rule))


def _pending(
    side: Side, account: str, task: Task, announced_until: AnnouncedUntil
) -> Iterator[tuple[str, datetime]]:
    zone = side.zones.get(account)
    for rule, alarm in _alarms(side.rules, account).items():
        at = None if zone is None else alarm.instant(task, zone)
        if at is not None and not was_announced(alarm, at, announced_until):
            yield rule, at


def _afterwards(
    known: TaskState, task: Task, account: str, old: Side, new: Side, now: datetime
) -> Iterator[tuple[str, datetime]]:
    """When alarms fire after the change; the same steps as in `Engine.recompute_alarms`."""
    if account not in new.zones:
        return
    was, will_be = _watch(old, account), _watch(new, account)
    if was is None or was.id == will_be.id:
        yield from _pending(new, account, task, known.announced_until)
        return
    yield from _pending(
        new, account, task, carried_over(task, known.announced_until, was, will_be, now)
    )
    at_once = {one.alarm for one in owed(task, known.announced_until, was, will_be, now, now)}
    for rule, alarm in _alarms(new.rules, account).items():
        if alarm in at_once:
            yield rule, now


def _watch(side: Side, account: str) -> AlarmSet:
    return AlarmSet(side.rules.alarms | {OVERDUE}, side.zones[account])


def _alarms(rules: Ruleset, account: str) -> Mapping[str, Alarm]:
    return {
        rule.id: rule.trigger.alarm
        for rule in rules
        if rule.trigger.alarm is not None and (rule.accounts is None or account in rule.accounts)
    }


def _effect(before: datetime | None, after: datetime | None, now: datetime) -> PendingEffect:
    if before is None:
        return PendingEffect.NEW
    if after is None:
        return PendingEffect.LOST
    return PendingEffect.KEPT if max(before, now) == max(after, now) else PendingEffect.MOVED
