"""What happened to a task, as the steps of a rule test: its changes and signals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from service.config.rule_tests import Values
from service.domain.model import DAYS, Cause, Kind, Task
from service.rules.language.templates import Template
from service.rules.rule import Rule
from service.rules.steps import Action
from service.simulator.batches import left
from service.store.history import RecordedEvent
from service.store.views.task_history import TaskHistory

LONGEST = timedelta(days=31)
_MOST = 30  # changes and signals: the last ones
_NO_FIELDS = frozenset({"id", "account", "system", "revision", *DAYS.values()})
_ALL = frozenset(one.name for one in fields(Task)) - _NO_FIELDS
# What tells people which task it is, and what channels and gates look at.
_USUAL = frozenset(
    {
        *("title", "done", "archived", "type", "priority", "due", "start", "end"),
        *("assignee", "assignees", "customer"),
    }
)


@dataclass(frozen=True, slots=True)
class PastStep:
    """A change of the task to `task` (None: it was deleted), or a signal about it, at `at`."""

    at: datetime
    task: Task | None
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """The last steps of a task: `given` is the task before them, None if there was none.

    `until` is a month after the last event.
    """

    start: datetime
    until: datetime
    given: Task | None
    steps: Sequence[PastStep]


def past_of(papers: TaskHistory, now: datetime) -> Past:
    """The task's changes and signals in the month before its last event, in full seconds."""
    last = papers.recorded[-1].decided_at if papers.recorded else now
    recent = [one for one in papers.recorded if one.decided_at > last - LONGEST]
    heard = [one for one in recent if one.event.cause is not Cause.CLOCK]
    groups = [list(group) for _, group in groupby(heard, _look)][-_MOST:]
    begins = groups[0][0].decided_at if groups else last
    if len(groups) < _MOST:
        alarms = (one.event.at for one in recent if one.event.cause is Cause.CLOCK)
        begins = min([begins, *alarms])
    start = begins.replace(second=0, microsecond=0) - timedelta(minutes=1)
    given = _before(groups[0][0]) if groups else papers.at(last)
    return Past(start, last + LONGEST, given, [_step(group) for group in groups])


def _before(one: RecordedEvent) -> Task | None:
    """The task before an event; a signal does not change it."""
    return one.event.after if one.event.kind is Kind.SIGNAL else one.event.before


def _look(one: RecordedEvent) -> object:
    """A key that is equal for events of one observation, or of one signal."""
    event = one.event
    return one.decided_at, event.at, event.id if event.cause is Cause.SIGNAL else 0


def _step(group: Sequence[RecordedEvent]) -> PastStep:
    last = group[-1]
    at = full_second(last.decided_at)
    if last.event.cause is Cause.SIGNAL:
        return PastStep(at, last.event.after, last.event.signal)
    return PastStep(at, left(last.event))


def full_second(moment: datetime) -> datetime:
    """The moment, or the next full second after it."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)


def fields_of(rule: Rule) -> frozenset[str]:
    """The fields of a task that matter for a rule, and those that tell people which task it is."""
    if Kind.CHANGED in rule.trigger.kinds and not rule.trigger.fields:
        return _ALL
    found = {field for noun, field in rule.reads if noun != "event"} | set(rule.trigger.fields)
    asked = [one.reads for one in (rule.until, *rule.planning.once_per) if one is not None]
    found |= {field for reads in asked for noun, field in reads if noun != "event"}
    if rule.for_each is not None:
        found |= rule.for_each.fields
    found |= {field for count in rule.counts for field in count.fields}
    if rule.trigger.alarm is not None:
        found.add(rule.trigger.alarm.field.partition(".")[0])
    actions = [step for step in rule.planning.steps if isinstance(step, Action)]
    for action in [*actions, *(other for step in actions for other in step.on_fail)]:
        found |= _told(action)
    return (_USUAL | found) & _ALL


def _told(action: Action) -> set[str]:
    """The fields of the task that its receiver, its texts and its values read."""
    values = (action.target, action.text, action.subject, *action.fields.values())
    texts = [one for one in values if isinstance(one, Template)]
    paths = [read.segments for text in texts for read in text.reads]
    return {str(path[1]) for path in paths if len(path) > 1}


def difference(before: Task | None, after: Task, names: frozenset[str]) -> Values:
    """The fields with other values than before; of a new task those that are not empty."""
    old = before or Task(id=after.id, account=after.account, system=after.system)
    found = {name: getattr(after, name) for name in sorted(names) if _differs(old, after, name)}
    if found.get("assignees") == _alone(found.get("assignee")):
        found.pop("assignees", None)
    if (
        "assignee" in found
        and "assignees" not in found
        and after.assignees != _alone(after.assignee)
    ):
        found["assignees"] = after.assignees
    days = {DAYS[name]: getattr(after, DAYS[name]) for name in found.keys() & DAYS.keys()}
    return {**_ordered(found), **days}


def _differs(old: Task, after: Task, name: str) -> bool:
    several = (name, *([DAYS[name]] if name in DAYS else []))
    return any(getattr(old, one) != getattr(after, one) for one in several)


def _alone(person: Any) -> tuple[Any, ...]:
    return () if person is None else (person,)


def _ordered(found: Mapping[str, Any]) -> dict[str, Any]:
    """In the order in which a task has its fields."""
    order = [one.name for one in fields(Task)]
    return dict(sorted(found.items(), key=lambda pair: order.index(pair[0])))
