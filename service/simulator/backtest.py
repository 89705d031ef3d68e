"""Backtest: what rules would have sent over the recorded history. Nothing is ever sent."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.model import (
    Cause,
    Event,
    Kind,
    Observation,
    State,
    Task,
)
from service.domain.signals import Signal
from service.simulator import Simulator
from service.simulator.batches import Batch, left
from service.simulator.memory.deliveries import Delivery
from service.store.tasks import Key

_NIGHT = (time(21), time(7))  # from when to when people should not be disturbed, local time
_CUSTOMER = "customer"
# Events of these causes do not show the state of the task.
_NO_CHANGE = frozenset({Cause.CLOCK, Cause.SIGNAL})


async def backtest(
    simulator: Simulator,
    known: AsyncIterator[tuple[Key, Task]],
    batches: AsyncIterator[Batch],
    until: datetime,
    progress: Callable[[int], None],
) -> Sequence[Delivery]:
    """The deliveries that the simulation's rules would have planned, from its start to `until`.

    `known` are the tasks as they were at the start. `progress` is called with the number of events
    that are processed.
    """
    now = simulator.clock.now()
    await simulator.begin([_observation(key, task, now) async for key, task in known])
    done = 0
    async for batch in batches:
        await simulator.go_on(batch.now)
        await _take(simulator, batch)
        done += sum(map(len, batch.groups))
        progress(done)
    await simulator.go_on(until)
    return simulator.tx.outbox.deliveries


async def _take(simulator: Simulator, batch: Batch) -> None:
    """Pass the recorded observations to the simulation. It creates alarms and schedules itself."""
    happened = [event for group in batch.groups for event in group]
    signals = [one for one in happened if one.signal is not None]
    changes = [group for group in batch.groups if group[0].cause not in _NO_CHANGE]
    if signals:
        await simulator.take_signals([_signal(one, batch.now) for one in signals])
    if changes:
        before = [(_key(group[0]), group[0].before) for group in changes]
        lost = {_key(group[0]): _before_deletion(group) for group in changes if _is_restored(group)}
        await simulator.remember(before, lost)
        simulator.tx.provenance.written = _written(happened)
        await simulator.observe([_observation_of(group, batch.now) for group in changes])


def _key(event: Event) -> Key:
    return event.account, event.task_id


def _observation(key: Key, task: Task, now: datetime) -> Observation:
    return Observation(*key, task, now, Cause.POLL)


def _observation_of(group: Sequence[Event], now: datetime) -> Observation:
    """The observation of a task that led to these events."""
    event, announced = group[-1], frozenset(one.kind for one in group)
    cause = Cause.FETCH if event.cause is Cause.WRITE else event.cause
    return Observation(*_key(event), left(event), now, cause, announced=announced)


def _is_restored(group: Sequence[Event]) -> bool:
    return group[0].kind is Kind.RESTORED


def _before_deletion(group: Sequence[Event]) -> Task:
    """The probable state of a restored task when it was deleted."""
    task = group[0].task
    return replace(task, done=task.done and all(one.kind is not Kind.COMPLETED for one in group))


def _signal(event: Event, now: datetime) -> Signal:
    return Signal(event.account, event.task_id, event.signal or "", now)


def _written(happened: Iterable[Event]) -> dict[Key, frozenset[str]]:
    """The fields that Taskbell had written itself, according to the events."""
    return {
        _key(event): frozenset(event.changed) for event in happened if event.cause is Cause.WRITE
    }


@dataclass(frozen=True, slots=True)
class Findings:
    """Notable results of a backtest.

    - `sent`: the messages that would have been sent
    - `by_address`: their number for each `channel:target`
    - `kept`: the number of messages that would not have been sent, by reason
    - `at_night`: messages that would have been sent from 21:00 to 7:00 in the account's zone
    - `twice`: messages to a customer who had received the same one earlier on the same day
    """

    sent: Sequence[Delivery]
    by_address: Mapping[str, int]
    kept: Mapping[str, int]
    at_night: Sequence[Delivery]
    twice: Sequence[Delivery]


def findings(deliveries: Iterable[Delivery], zones: Mapping[str, ZoneInfo]) -> Findings:
    """Summarise the deliveries of a backtest; `zones` are the accounts' time zones."""
    planned = list(deliveries)
    sent = [one for one in planned if one.state is State.SENT]
    kept = Counter(f"{one.state}: {one.reason}" for one in planned if one.state is not State.SENT)
    return Findings(
        sent,
        dict(Counter(address(one) for one in sent).most_common()),
        dict(kept.most_common()),
        [one for one in sent if _is_at_night(one, zones)],
        list(_again(sent, zones)),
    )


def address(one: Delivery) -> str:
    """Channel and target, as in `notify`: `slack:#office`."""
    plan = one.request.plan
    return f"{plan.channel}:{plan.target}" if plan.target else plan.channel


def row_of(one: Delivery) -> dict[str, Any]:
    """The delivery for scripts and the API; `at`, when it would be sent, is UTC."""
    return {
        "at": one.settled_at,
        "account": one.request.event.account,
        "task": one.request.event.task_id,
        "rule": one.request.rule,
        "to": address(one),
        "text": one.text,
    }


def _local(one: Delivery, zones: Mapping[str, ZoneInfo]) -> datetime:
    moment = one.settled_at or one.created_at
    return moment.astimezone(zones[one.request.event.account])


def _is_at_night(one: Delivery, zones: Mapping[str, ZoneInfo]) -> bool:
    begins, ends = _NIGHT
    clock = _local(one, zones).time()
    return clock >= begins or clock < ends


def _again(sent: Iterable[Delivery], zones: Mapping[str, ZoneInfo]) -> Iterator[Delivery]:
    """Messages to a customer who had received the same one earlier on the same local day."""
    told = set()
    for one in sent:
        if one.request.plan.channel != _CUSTOMER:
            continue
        task = one.request.event.task
        whom = task.customer.id if task.customer and task.customer.id else task.id
        same = (one.request.event.account, whom, address(one), _local(one, zones).date())
        if same in told:
            yield one
        told.add(same)
