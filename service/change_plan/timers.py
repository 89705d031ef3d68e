"""What becomes of a task's alarms when other rules or another time zone come into force."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from service.change_plan import Fate, Side
from service.domain.alarm_sets import Watch, carried_over, owed
from service.domain.alarms import OVERDUE, Alarm, Rung, was_rung
from service.domain.model import Task
from service.rules import Ruleset
from service.store.tasks import Known


@dataclass(frozen=True, slots=True)
class Timer:
    """A rule's alarm for a task: what becomes of it, and when it rings then (UTC; None: never)."""

    rule: str
    fate: Fate
    rings_at: datetime | None


def timers(known: Known, account: str, old: Side, new: Side, now: datetime) -> Iterator[Timer]:
    """Every alarm that was to ring for this task before the change, or will ring after it."""
    task = known.present
    if task is None or not task.is_open:
        return
    before = dict(_pending(old, account, task, known.rung))
    after = dict(_afterwards(known, task, account, old, new, now))
    for rule in {**before, **after}:
        yield Timer(rule, _fate(before.get(rule), after.get(rule), now), after.get(rule))


def _pending(side: Side, account: str, task: Task, rung: Rung) -> Iterator[tuple[str, datetime]]:
    zone = side.zones.get(account)
    for rule, alarm in _alarms(side.rules, account).items():
        at = None if zone is None else alarm.instant(task, zone)
        if at is not None and not was_rung(alarm, at, rung):
            yield rule, at


def _afterwards(
    known: Known, task: Task, account: str, old: Side, new: Side, now: datetime
) -> Iterator[tuple[str, datetime]]:
    """When alarms ring after the change; the same steps as in `Engine.rearm`."""
    if account not in new.zones:
        return
    was, will_be = _watch(old, account), _watch(new, account)
    if was is None or was.id == will_be.id:
        yield from _pending(new, account, task, known.rung)
        return
    yield from _pending(new, account, task, carried_over(task, known.rung, was, will_be, now))
    at_once = {one.alarm for one in owed(task, known.rung, was, will_be, now, now)}
    for rule, alarm in _alarms(new.rules, account).items():
        if alarm in at_once:
            yield rule, now


def _watch(side: Side, account: str) -> Watch:
    return Watch(side.rules.alarms | {OVERDUE}, side.zones[account])


def _alarms(rules: Ruleset, account: str) -> Mapping[str, Alarm]:
    return {
        rule.id: rule.trigger.alarm
        for rule in rules
        if rule.trigger.alarm is not None and (rule.accounts is None or account in rule.accounts)
    }


def _fate(before: datetime | None, after: datetime | None, now: datetime) -> Fate:
    if before is None:
        return Fate.NEW
    if after is None:
        return Fate.LOST
    return Fate.KEPT if max(before, now) == max(after, now) else Fate.MOVED
