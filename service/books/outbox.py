"""An outbox in memory, of which nothing ever leaves: what would be sent is marked as sent."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import heappop, heappush

from service.model import Event, Kind, State
from service.outbox import Identity, Order, ending
from service.outbox.coming import Coming
from service.store.tasks import Key

PENDING = frozenset({State.PLANNED, State.HELD})
# Once per key: what was never sent does not count. As the index `deliveries_once` has it.
_NEVER_SENT = frozenset({State.SKIPPED, State.CANCELLED, State.EXPIRED})
_UNDONE = {(Kind.COMPLETED, Kind.REOPENED), (Kind.CREATED, Kind.DELETED)}


@dataclass(slots=True)
class Delivery:
    """An order and what has become of it. `due` is when it is to go out, while it is pending.

    `event` is what it is about, `updates` the delivery whose message it rewrites. All times are
    UTC.
    """

    id: int
    event: int
    order: Order
    created_at: datetime
    state: State
    reason: str | None = None
    due: datetime | None = None
    settled_at: datetime | None = None
    text: str = ""
    updates: int | None = None

    @property
    def key(self) -> Key:
        return self.order.event.account, self.order.event.task_id


class MemoryOutbox:
    """The deliveries, by the promises that `service.outbox` keeps with its tables."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._due: list[tuple[datetime, int]] = []
        self._placed_before: set[tuple[Identity, bool]] = set()
        self._placed: dict[tuple[Identity, bool], Delivery] = {}
        self._of_task: dict[Key, list[Delivery]] = defaultdict(list)
        self._limited: dict[tuple[str, bool], list[Delivery]] = defaultdict(list)
        self._log: list[Delivery] = []
        self._rewritten: set[int] = set()

    @property
    def changes(self) -> int:
        """How often a delivery was planned, held or skipped, or has come to an end."""
        return len(self._log)

    def news(self, since: int) -> Iterator[Delivery]:
        """The deliveries that were held or have come to an end after so many changes.

        Each as it was then, in that order.
        """
        return (one for one in self._log[since:] if one.state is not State.PLANNED)

    def remember(self, placed: Iterable[tuple[Identity, bool]]) -> None:
        """Take these for placed, on trial or not, long ago: they stand in the way of the same."""
        self._placed_before.update(placed)

    def resume(self, one: Coming, now: datetime) -> None:
        """Take over what was planned elsewhere."""
        delivery = self._add(one.order, one.state, one.reason, one.due or now, now)
        delivery.due = one.due
        self._placed[one.order.identity, one.order.shadow] = delivery
        if one.order.is_limited:
            insort(self._limited[one.order.rule, one.order.shadow], delivery, key=_send_at)

    def place(self, orders: Sequence[Order], now: datetime) -> set[Identity]:
        placed = set()
        for order in sorted(orders, key=lambda one: one.identity):
            identity, plan = order.identity, order.plan
            counts = plan.state not in _NEVER_SENT
            if counts and self._was_announced(order):
                continue
            delivery = self._add(order, plan.state, plan.reason, plan.send_at, now)
            if counts:
                self._placed[identity, order.shadow] = delivery
            if order.is_limited:
                insort(self._limited[order.rule, order.shadow], delivery, key=_send_at)
            placed.add(identity)
        return placed

    def placed_before(self, orders: Sequence[Order]) -> set[Identity]:
        return {order.identity for order in orders if self._was_announced(order)}

    def limited(self, rule: str, begin: datetime, end: datetime, *, shadow: bool) -> list[datetime]:
        known = self._limited[rule, shadow]
        first = bisect_left(known, begin, key=_send_at)
        last = bisect_right(known, end, key=_send_at)
        return [_send_at(one) for one in known[first:last] if _counts(one)]

    def withdraw(self, events: Iterable[Event], now: datetime) -> None:
        for event in events:
            for one in self._pending_of((event.account, event.task_id)):
                if event.kind in one.order.plan.withdraw_on and one.order.event.id < event.id:
                    self._end(one, State.CANCELLED, f"withdrawn: the task was {event.kind}", now)

    def pending(self, keys: Iterable[Key], rules: Iterable[str]) -> list[tuple[int, str, str, str]]:
        wanted = frozenset(rules)
        found = [
            (one.id, one.order.rule, *key)
            for key in keys
            for one in self._pending_of(key)
            if one.order.rule in wanted and one.updates is None
        ]
        return sorted(found)

    def cancel(self, deliveries: Iterable[int], reason: str, now: datetime) -> None:
        for number in deliveries:
            one = self.deliveries[number - 1]
            if one.state in PENDING:
                self._end(one, State.CANCELLED, reason, now)

    def take_back(self, events: Iterable[Event], now: datetime) -> None:
        for event in events:
            for one in list(self._of_task[event.account, event.task_id]):
                if one.id not in self._rewritten and _is_undone(one, event):
                    self._rewrite(one, event, now)

    def next_due(self) -> datetime | None:
        """When something is to go out next."""
        while self._due and not self._is_due(*self._due[0]):
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def send(self, now: datetime, has_ended: Callable[[Delivery], str | None]) -> None:
        """Mark what is due as sent, or as what has become of it: expired or ended by a reason."""
        while (due := self.next_due()) is not None and due <= now:
            one = self.deliveries[heappop(self._due)[1] - 1]
            expires_at = one.order.plan.expires_at
            if one.updates is None and expires_at is not None and expires_at <= now:
                late = f"it was too late: wanted by {expires_at:%Y-%m-%d %H:%M} UTC"
                self._end(one, State.EXPIRED, late, now)
            elif one.updates is None and (reason := has_ended(one)) is not None:
                self._end(one, State.CANCELLED, reason, now)
            elif one.order.shadow:
                plan = one.order.plan
                reason = ending.only_on_trial(plan.channel, plan.target)
                self._end(one, State.SKIPPED, reason, now)
            else:
                self._end(one, State.SENT, None, now)

    def _was_announced(self, order: Order) -> bool:
        """Whether it has been before, or on trial would have been."""
        before = self._placed.get((order.identity, order.shadow))
        if before is None:
            return (order.identity, order.shadow) in self._placed_before
        return _counts(before)

    def _add(
        self, order: Order, state: State, reason: str | None, due: datetime, now: datetime
    ) -> Delivery:
        number = len(self.deliveries) + 1
        one = Delivery(number, order.event.id, order, now, state, reason, text=order.plan.text)
        self.deliveries.append(one)
        self._of_task[one.key].append(one)
        if state is State.SKIPPED:
            one.settled_at = now
        else:
            one.due = due
            heappush(self._due, (due, number))
        self._log.append(replace(one))
        return one

    def _rewrite(self, sent: Delivery, event: Event, now: datetime) -> None:
        self._rewritten.add(sent.id)
        one = self._add(sent.order, State.PLANNED, None, now, now)
        one.event, one.updates = event.id, sent.id
        one.text = f"Taken back ({event.kind}): {sent.text}"

    def _pending_of(self, key: Key) -> Iterator[Delivery]:
        return (one for one in self._of_task.get(key, ()) if one.state in PENDING)

    def _is_due(self, due: datetime, number: int) -> bool:
        one = self.deliveries[number - 1]
        return one.state in PENDING and one.due == due

    def _end(self, one: Delivery, state: State, reason: str | None, now: datetime) -> None:
        one.state, one.reason, one.settled_at, one.due = state, reason, now, None
        self._log.append(replace(one))


def _send_at(delivery: Delivery) -> datetime:
    return delivery.order.plan.send_at


def _counts(one: Delivery) -> bool:
    """Whether it was announced, or on trial would have been."""
    return one.state not in _NEVER_SENT or (one.order.shadow and one.state is State.SKIPPED)


def _is_undone(one: Delivery, event: Event) -> bool:
    cause = one.order.event
    if one.order.plan.on_undo is None or one.updates is not None:
        return False
    if one.state is not State.SENT or cause.id >= event.id:
        return False
    return (cause.kind, event.kind) in _UNDONE
