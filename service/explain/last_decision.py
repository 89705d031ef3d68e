"""What a rule was asked about last: usually the last event of the task that it listens to.

A rule that listens to several events of one look is asked once for all of them. A rule with
`settle` is asked about the net change when the task has been quiet, a rule with `for` about the
task as it is when the time is over.
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
    """What a rule was asked about at `at` (UTC); its decision has the event id `id`.

    There are several `events` if one look brought them, and none if all changes were taken back
    while the rule waited.
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
    """The last time a rule was asked about these events of a task; None if it never was.

    `decisions` are the rule's own, `decided_at` tells when each event was decided on.
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
    """What was left to decide on when a wait was over; that always leaves a decision.

    `events` are those that had been decided on by then. `Event.at` would not tell: that of an
    alarm is its due moment, not when it rang.
    """
    first = next(event for event in events if event.id == decision.event)
    current = events[-1].after
    left_of = NetChange.settled if rule.lasts is None else NetChange.lasted
    net = left_of(Wait(rule.id, first), current, decision.at).events
    left = [event for event in net if rule.listens_to(event)]
    return EvaluatedEvents(first.id, decision.at, tuple(left[:1]))
