"""What a rule was asked about: the last of a task's events that it listens to, or their sum.

A rule that listens to several events of one look speaks once; a rule with `settle` is asked about
what is left of all changes when the task has been quiet, one with `for` about what is still so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.drafts import lasting_change, net_change
from service.model import Event
from service.rules.rule import Rule
from service.store.outcomes import Ruling
from service.store.settling import Settled


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a rule was asked at `at`: `events`, in their order, under the number `id`.

    Several came of one look; none are left of changes that were taken back.
    """

    id: int
    at: datetime
    events: tuple[Event, ...]


def last_occasion(
    rule: Rule,
    events: Sequence[Event],
    rulings: Sequence[Ruling],
    decided_at: Mapping[int, datetime],
) -> Occasion | None:
    """The last time a rule was asked about these events of a task; None if it never was.

    `rulings` are its own, `decided_at` has when each event was decided on.
    """
    heard = [event for event in events if rule.listens_to(event)]
    if not heard:
        return None
    waits = rule.settle is not None or rule.lasts is not None
    if waits and rulings and rulings[-1].at >= heard[-1].at:
        known = [event for event in events if decided_at[event.id] <= rulings[-1].at]
        return _waited(rule, known, rulings[-1])
    last = heard[-1]
    one_look = tuple(
        event
        for event in heard
        if (event.at, event.before, event.after) == (last.at, last.before, last.after)
    )
    return Occasion(last.id, decided_at[last.id], one_look)


def _waited(rule: Rule, events: Sequence[Event], ruling: Ruling) -> Occasion:
    """What was left when the wait since the ruling's event was over; that is always on record.

    `events` are those of which was known then: an alarm is dated by the task, not by its ringing.
    """
    first = next(event for event in events if event.id == ruling.event)
    current = events[-1].after
    change = net_change if rule.lasts is None else lasting_change
    net = change(Settled(rule.id, first), current, ruling.at).events
    left = [event for event in net if rule.listens_to(event)]
    return Occasion(first.id, ruling.at, tuple(left[:1]))
