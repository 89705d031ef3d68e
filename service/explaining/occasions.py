"""What a rule was asked about: the last of a task's events that it listens to, or their sum.

A rule that listens to several events of one look speaks once; a rule that settles is asked about
what is left of all changes when the task has been quiet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from service.deciding import SETTLE_MOST
from service.drafts import net_change
from service.model import Event, Task
from service.rules.rule import Rule, Settle
from service.store.dossier import Ruling
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

    `rulings` are its own, `decided_at` has when any rule decided about an event. Where that is on
    no record, it was done when the event happened.
    """
    heard = [event for event in events if rule.listens_to(event)]
    if not heard:
        return None
    if rule.settle is not None:
        return _settled(rule, rule.settle, events, heard, rulings)
    last = heard[-1]
    one_look = tuple(
        event
        for event in heard
        if (event.at, event.before, event.after) == (last.at, last.before, last.after)
    )
    return Occasion(last.id, decided_at.get(last.id, last.at), one_look)


def _settled(
    rule: Rule,
    settle: Settle,
    events: Sequence[Event],
    heard: list[Event],
    rulings: Sequence[Ruling],
) -> Occasion:
    first, at = _last_burst(heard, settle.quiet, settle.most or SETTLE_MOST)
    for ruling in rulings:
        if ruling.at >= heard[-1].at:
            first, at = next(event for event in heard if event.id == ruling.event), ruling.at
    wait = Settled(rule.id, first.account, first.task_id, first.id, first.before, first.cause)
    net = net_change(wait, _state_at(events, at), at).events
    left = [event for event in net if rule.listens_to(event)]
    return Occasion(first.id, at, tuple(left[:1]))


def _last_burst(heard: list[Event], quiet: timedelta, most: timedelta) -> tuple[Event, datetime]:
    """The first event of the last changes that came without a rest, and when that rest came."""
    first, ends = heard[0], heard[0].at + quiet
    for _, event in pairwise(heard):
        if event.at < ends:
            ends = min(first.at + most, event.at + quiet)
        else:
            first, ends = event, event.at + quiet
    return first, ends


def _state_at(events: Sequence[Event], moment: datetime) -> Task | None:
    return [event for event in events if event.at <= moment][-1].after
