"""The last event that a rule was evaluated for: usually the task's last event that triggers it.

If several events of one observation trigger a rule, it is evaluated once for all of them. A rule
with `settle` is evaluated for the net change when the task has been quiet, a rule with `for` for
the task as it is when the time is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.model import Event
from service.engine.net_change import NetChange
from service.rules.rule import Rule
from service.store.decisions import RecordedDecision
from service.store.waits import Wait


@dataclass(frozen=True, slots=True)
class EvaluatedEvents:
    """The events that a rule was evaluated for at `at` (UTC); its decision has the event id `id`.

    There are several `events` if they come from one observation, and none if all changes were
    undone while the rule waited.
    """

    id: int
    at: datetime
    events: tuple[Event, ...]


def last_occasion(
    rule: Rule,
    events: Sequence[Event],
    decisions: Sequence[RecordedDecision],
    decided_at: Mapping[int, datetime],
) -> EvaluatedEvents | None:
    """The last evaluation of a rule for these events of a task; None if there was none.

    `decisions` are the rule's own, `decided_at` has the time when each event was decided on.
    """
    heard = [event for event in events if rule.listens_to(event)]
    if not heard:
        return None
    waits = rule.settle is not None or rule.lasts is not None
    if waits and decisions and decisions[-1].at >= heard[-1].at:
        known = [event for event in events if decided_at[event.id] <= decisions[-1].at]
        return _waited(rule, known, decisions[-1])
    last = heard[-1]
    one_look = tuple(
        event
        for event in heard
        if (event.at, event.before, event.after) == (last.at, last.before, last.after)
    )
    return EvaluatedEvents(last.id, decided_at[last.id], one_look)


def _waited(rule: Rule, events: Sequence[Event], decision: RecordedDecision) -> EvaluatedEvents:
    """The changes that remained when a wait was over; there is always a stored decision for that.

    `events` are those that had been decided on by then. `Event.at` does not show it: that of an
    alarm is the time when it was due, not when it fired.
    """
    first = next(event for event in events if event.id == decision.event)
    current = events[-1].after
    left_of = NetChange.settled if rule.lasts is None else NetChange.lasted
    net = left_of(Wait(rule.id, first), current, decision.at).events
    left = [event for event in net if rule.listens_to(event)]
    return EvaluatedEvents(first.id, decision.at, tuple(left[:1]))
