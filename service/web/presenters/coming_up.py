"""Messages that are coming up, as the page and the calendar show them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, takewhile
from typing import TypeAlias
from zoneinfo import ZoneInfo

import asyncpg

from service.domain.durations import in_words
from service.domain.model import Cause, Kind, State
from service.rules.rule import Rule
from service.rules.ruleset import Ruleset
from service.simulator.foresight import Foresight
from service.simulator.memory.deliveries import Delivery
from service.web import labels

Mark: TypeAlias = tuple[datetime, int, int]
"""The place of a message: when it goes out, 1 if it is only expected, and a number."""

_SOON = timedelta(minutes=1)
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `id` is its number, if it is planned already; otherwise it is only expected.

    `how` is what triggers it. `doubt` is why a planned message will not be sent at that time.
    `on_hold`: a person holds it. `happened_at` is the moment of its event. Times are UTC.
    """

    mark: Mark
    id: int | None
    account: str
    task: str
    rule: str
    step: int
    channel: str
    target: str
    state: str
    text: str
    subject: str | None
    title: str
    customer: str | None
    kind: str | None
    cause: str | None
    happened_at: datetime | None
    reason: str | None
    on_hold: bool = False
    how: str = ""
    doubt: str | None = None
    later: datetime | None = None

    @property
    def at(self) -> datetime:
        return self.mark[0]


@dataclass(frozen=True, slots=True)
class Outlook:
    """The messages to come if nothing changes, computed at `now`, complete up to `until` (UTC).

    `expected` are messages that nobody has planned yet, in order. `fates` is the expected result of
    each planned message, by its number. `unasked` are rules that had too many tasks to choose from.
    `going` is everything that will be sent, planned or not, in order.
    """

    now: datetime
    until: datetime
    expected: Sequence[Message]
    fates: Mapping[int, Delivery]
    unasked: Sequence[str]
    going: Sequence[tuple[Mark, Delivery]]

    @classmethod
    def of(cls, found: Foresight, rules: Ruleset) -> "Outlook":
        expected = [
            _expected(one, rules.get(one.request.rule), at)
            for one in found.deliveries
            if one.stored is None and one.state is State.SENT
            if (at := one.settled_at) is not None
        ]
        fates = {one.stored: one for one in found.deliveries if one.stored is not None}
        in_order = sorted(expected, key=_mark)
        return cls(found.now, found.until, in_order, fates, found.unasked, _going(found))

    def between(self, now: datetime, until: datetime, after: Mark | None) -> Iterator[Message]:
        """What is expected from now until then, after a mark if one is given."""
        first = bisect_left(self.expected, (now, 0, 0), key=_mark)
        if after is not None:
            first = max(first, bisect_right(self.expected, after, key=_mark))
        return takewhile(lambda one: one.at <= until, self.expected[first:])

    def sent_by(self, until: datetime, after: Mark | None) -> Iterator[tuple[Mark, Delivery]]:
        """The messages that will be sent until then, after a mark if one is given."""
        first = 0 if after is None else bisect_right(self.going, after, key=_place)
        return takewhile(lambda one: _place(one)[0] <= until, self.going[first:])


def planned(rows: Iterable[asyncpg.Record], outlook: Outlook | None) -> list[Message]:
    """Messages of the database, with what is to become of them."""
    fates = {} if outlook is None else outlook.fates
    return [_planned(row, fates.get(row["id"])) for row in rows]


def _mark(one: Message) -> Mark:
    return one.mark


def _place(one: tuple[Mark, Delivery]) -> Mark:
    return one[0]


def _going(found: Foresight) -> list[tuple[Mark, Delivery]]:
    """What would be sent, in order, each with its mark."""
    going = [
        ((at, 0, one.stored) if one.stored is not None else (at, 1, one.id), one)
        for one in found.deliveries
        if one.state is State.SENT
        if (at := one.settled_at) is not None
    ]
    return sorted(going, key=_place)


def by_hour(
    messages: Iterable[Message], zone: ZoneInfo, now: datetime
) -> list[tuple[str, list[tuple[str, list[Message]]]]]:
    """The messages, in their order, by day and hour of the zone, each in words."""
    days = groupby(messages, lambda one: _day(max(one.at, now), zone, now))
    return [
        (
            day,
            [
                (hour, list(each))
                for hour, each in groupby(of_day, lambda one: _hour(one, zone, now))
            ],
        )
        for day, of_day in days
    ]


def _day(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    there, today = at.astimezone(zone), now.astimezone(zone).date()
    away = (there.date() - today).days
    name = {0: "Today, ", 1: "Tomorrow, "}.get(away, "")
    return f"{name}{there:%A} {there.day} {there:%B}"


def _hour(one: Message, zone: ZoneInfo, now: datetime) -> str:
    return f"{one.at.astimezone(zone):%H}:00" if one.at > now else "Due now"


def _planned(row: asyncpg.Record, fate: Delivery | None) -> Message:
    known = {name: value for name, value in row.items() if name != "at"}
    known |= {name: row[name] or "" for name in ("task", "text", "title")}
    doubt, later = None, None
    if fate is not None and fate.state is State.SENT and fate.settled_at is not None:
        later = fate.settled_at if fate.settled_at > row["at"] + _SOON else None
    elif fate is not None and not fate.is_pending:
        doubt = (fate.reason or labels.STATES[fate.state]).removeprefix("cancelled: ")
    return Message(mark=(row["at"], 0, row["id"]), **known, doubt=doubt, later=later)


def _expected(one: Delivery, rule: Rule | None, at: datetime) -> Message:
    request, event = one.request, one.request.event
    task = event.after or event.before if event.task_id else None
    return Message(
        mark=(at, 1, one.id),
        id=None,
        account=event.account,
        task=event.task_id,
        rule=request.rule,
        step=request.plan.step,
        channel=request.plan.channel,
        target=request.plan.target,
        state="expected",
        text=one.text[:_LONGEST],
        subject=request.plan.subject,
        title=task.title if task else "",
        customer=task.customer.name if task and task.customer else None,
        kind=event.kind,
        cause=event.cause,
        happened_at=event.at,
        reason=None,
        how=_how(rule, one, at),
    )


def _how(rule: Rule | None, one: Delivery, at: datetime) -> str:
    """By what it comes, and what it waits for."""
    by = _by(rule, one)
    waits = at - one.created_at
    return f"{by} Then it waits {in_words(_rounded(waits))}." if waits >= _SOON else by


def _by(rule: Rule | None, one: Delivery) -> str:
    event = one.request.event
    if rule is not None and rule.trigger.cron is not None:
        return f"On a schedule ({rule.trigger.cron})."
    if rule is not None and rule.grouping is not None:
        return "A combined message: tasks are collected for it until then (group)."
    if rule is not None and rule.settle is not None:
        quiet = in_words(rule.settle.quiet)
        return f"Waiting until the task has not changed for {quiet} (settle)."
    if rule is not None and rule.lasts is not None:
        return f"Waiting to see whether the condition stays true for {in_words(rule.lasts)} (for)."
    if event.cause is Cause.CLOCK and event.kind is not Kind.SCHEDULED:
        return f"When the task {labels.HAPPENINGS[event.kind]}."
    return "If nothing changes."


def _rounded(length: timedelta) -> timedelta:
    """To minutes below a day, to hours above."""
    unit = timedelta(minutes=1) if length < timedelta(days=1) else timedelta(hours=1)
    return unit * round(length / unit)
