"""An outbox in memory that sends nothing: a delivery that would be sent is marked as sent."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from service.domain.model import Event, Kind, State, Task
from service.domain.operators.buttons import ESCALATION
from service.domain.operators.silences import Silence
from service.domain.storms import Lately
from service.outbox import DeliveryRequest, Identity, Lanes, Placed, gates, question, silences
from service.outbox.gates import GateFacts, Stop
from service.outbox.mutes import Mute
from service.outbox.snapshot import PendingOrder
from service.rules.cancellation import EscalationEnd
from service.rules.revision import Rejection
from service.rules.ruleset import Ruleset
from service.rules.visits import VisitAnnouncement
from service.simulator.memory.contacts import MemoryContacts
from service.simulator.memory.deliveries import NOT_COUNTED, Delivery
from service.simulator.memory.events import MemoryEvents
from service.simulator.memory.fallback import Failing, instead
from service.simulator.memory.final_check import MemoryFinalCheck
from service.simulator.memory.mutes import MemoryMuting
from service.simulator.memory.storms import CountedFloods, MemoryStorms
from service.store.tasks import Key


class MemoryOutbox:
    """`OutboxRepository` in memory; deliveries to `failing` targets fail, with their `on_fail`."""

    def __init__(self, events: MemoryEvents, silenced: Sequence[Silence] = ()) -> None:
        self._events = events
        self._silenced = silenced
        self.failing = Failing()
        self.deliveries: list[Delivery] = []
        self._due: list[tuple[datetime, int]] = []
        self._placed_before: set[tuple[Identity, bool]] = set()
        self._placed: dict[tuple[Identity, bool], Delivery] = {}
        self._of_task: dict[Key, list[Delivery]] = defaultdict(list)
        self._limited: dict[tuple[str, bool], list[Delivery]] = defaultdict(list)
        self._log: list[Delivery] = []
        self._rewritten: set[int] = set()
        self._storms = MemoryStorms()
        self._muting = MemoryMuting()
        self._announced: dict[str, VisitAnnouncement] = {}
        self.contacts = MemoryContacts()

    @property
    def changes(self) -> int:
        """How often a delivery was planned, held or skipped, or has ended."""
        return len(self._log)

    def results_since(self, since: int) -> Iterator[Delivery]:
        """What was held or has ended after this number of changes, in order, as it was then."""
        return (one for one in self._log[since:] if one.state is not State.PLANNED)

    def remember(self, placed: Iterable[tuple[Identity, bool]]) -> None:
        """Count these as placed long ago, by a shadow rule or not: they are not placed again."""
        self._placed_before.update(placed)

    def remember_storms(self, known: Lately) -> None:
        """Load the state of the storm guard."""
        self._storms = MemoryStorms(known)

    def remember_mutes(self, known: Iterable[Mute]) -> None:
        """Load the active mutes."""
        self._muting = MemoryMuting(known)

    def remember_announced(self, known: Mapping[str, VisitAnnouncement]) -> None:
        """Load what customers were told about visits."""
        self._announced.update(known)

    def resume(self, one: PendingOrder, now: datetime) -> None:
        """Load deliveries that were planned in the database."""
        delivery = self._add(one.request, one.state, one.reason, one.due or now, now)
        delivery.due, delivery.stored = one.due, one.id
        delivery.is_exempt, delivery.is_past_storm = one.is_exempt, one.is_past_storm
        delivery.is_approved, delivery.at_once = one.is_approved, one.at_once
        self._placed[one.request.identity, one.request.shadow] = delivery
        if one.request.is_limited:
            insort(self._limited[one.request.rule, one.request.shadow], delivery, key=_send_at)

    async def place(self, requests: Sequence[DeliveryRequest], now: datetime) -> Placed:
        added = []
        for request in sorted(requests, key=lambda one: one.identity):
            plan = request.plan
            counts = plan.state not in NOT_COUNTED
            if counts and self._was_announced(request):
                continue
            due = plan.send_at if plan.asks is None else plan.asks.expires_at
            delivery = self._add(request, plan.state, plan.reason, due or plan.send_at, now)
            if counts:
                self._placed[request.identity, request.shadow] = delivery
            if request.is_limited:
                insort(self._limited[request.rule, request.shadow], delivery, key=_send_at)
            self._muting.note(request)
            added.append(delivery)
        for one in added:
            if (silence := silences.silencing(self._silenced, one.request, now)) is not None:
                self._refuse(one, silence.refusal, now)
        for one in added:
            if one.is_pending:
                self._ask(one, now)
        return Placed(frozenset(one.request.identity for one in added))

    async def placed_before(self, requests: Sequence[DeliveryRequest]) -> set[Identity]:
        return {request.identity for request in requests if self._was_announced(request)}

    async def limited(
        self, rule: str, begin: datetime, end: datetime, *, shadow: bool
    ) -> list[datetime]:
        known = self._limited[rule, shadow]
        first = bisect_left(known, begin, key=_send_at)
        last = bisect_right(known, end, key=_send_at)
        return [_send_at(one) for one in known[first:last] if one.counts]

    async def withdraw(self, events: Sequence[Event], now: datetime) -> None:
        for event in events:
            self._muting.end(event)
            for one in self._pending_of((event.account, event.task_id)):
                if one.is_ended_by(event) and not self._was_done_again(one, event):
                    self._end(one, State.CANCELLED, f"cancelled: the task was {event.kind}", now)

    async def pending(
        self, keys: Iterable[Key], rules: Container[str]
    ) -> list[tuple[int, str, str, str]]:
        found = [
            (one.id, one.request.rule, *key)
            for key in keys
            for one in self._pending_of(key)
            if one.request.rule in rules and one.updates is None
        ]
        return sorted(found)

    async def cancel(self, deliveries: Sequence[int], reason: str, now: datetime) -> None:
        for number in deliveries:
            one = self.deliveries[number - 1]
            if one.is_pending:
                self._end(one, State.CANCELLED, reason, now)

    async def end_escalations(
        self, over: Sequence[EscalationEnd], rewritable: Collection[str], now: datetime
    ) -> Lanes:
        del rewritable  # no simulation shows what a message looks like afterwards
        for end in over:
            for one in self._pending_of((end.event.account, end.event.task_id)):
                if one.event < end.event.id and ESCALATION in one.request.plan.withdraw_on:
                    self._end(one, State.CANCELLED, end.reason, now)
        return frozenset()

    async def take_back(self, events: Sequence[Event], now: datetime) -> Lanes:
        lanes = set()
        for event in events:
            for one in list(self._of_task[event.account, event.task_id]):
                is_undone = one.is_undone_by(event) and not self._was_done_again(one, event)
                if is_undone and one.id not in self._rewritten:
                    self._rewrite(one, event, now)
                    lanes.add(one.request.lane)
        return frozenset(lanes)

    def _was_done_again(self, one: Delivery, event: Event) -> bool:
        """Whether the event reopens a recurring task that was completed again since then."""
        return event.kind is Kind.REOPENED and self._events.is_done_again(one.request.event, event)

    def of_task(self, key: Key) -> Sequence[Delivery]:
        """All deliveries about a task, in the order in which they were planned."""
        return self._of_task[key]

    def next_due(self) -> datetime | None:
        """When the next delivery is due."""
        while self._due and not self._is_due(*self._due[0]):
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def facts(
        self,
        rules: Ruleset,
        zones: Mapping[str, ZoneInfo],
        present: Callable[[Key], Task | None],
        now: datetime,
    ) -> GateFacts:
        """The facts for the gates at this time (UTC)."""
        return GateFacts(
            now=now,
            rules=rules,
            zones=zones,
            silences=self._silenced,
            present=present,
            muting=self._muting.muting,
            announcement=self._announced.get,
            floods=CountedFloods(self._storms, rules.storm, now),
            holds=self.contacts.holds,
            overrides=rules.overrides,
            choices=self.contacts.choices,
            sent=self.contacts.sent,
        )

    async def send(self, facts: GateFacts, final_check: MemoryFinalCheck) -> None:
        """Mark due deliveries as sent, or with the state in which a gate stops them.

        Those that no gate stops get the final check: `final_check` returns the objection, and the
        replacement.
        """
        while due := self._take_due(facts.now):
            stopped = gates.stops([one.candidate for one in due], facts)
            for one in due:
                stop = stopped.get(one.id)
                if stop is None:
                    await self._send(one, final_check, facts)
                else:
                    self._stop(one, stop, facts.now)

    async def _send(self, one: Delivery, final_check: MemoryFinalCheck, facts: GateFacts) -> None:
        now, found = facts.now, final_check.at(one)
        if isinstance(found, tuple):
            await self._replace(one, *found, now)
            return
        if found is not None:
            one.rewrite(found)
        if (failure := self._failure(one)) is not None:
            self._fail(one, failure, now)
        else:
            self._leave(one, facts, None if found is None else found.reason)

    def _stop(self, one: Delivery, stop: Stop, now: datetime) -> None:
        if stop.storm is not None:
            self._storms.reasons.setdefault(stop.storm.key, stop.reason or "")
        if stop.state is State.PLANNED:
            self._plan_again(one, stop.again_at)
        elif stop.state is State.HELD:
            self._hold(one, stop)
        else:
            self._end(one, stop.state, stop.reason, now)

    async def _replace(
        self, one: Delivery, against: Rejection, request: DeliveryRequest | None, now: datetime
    ) -> None:
        """Cancel it after the final check, and place its replacement, if there is one."""
        self._end(one, against.state, against.reason, now)
        if request is not None:
            await self.place([request], now)

    def _leave(self, one: Delivery, facts: GateFacts, note: str | None) -> None:
        now, task = facts.now, facts.present(one.key)
        if one.flood is not None:
            self._storms.note_sent(one.flood, now)
        self.contacts.note_sent(one.candidate, facts.rules.contacts, now)
        if (visit := one.visit) is not None:
            if task is not None:
                zone = facts.zones[one.key[0]]
                visit = visit.as_of(one.request.plan.target, task, now, zone)
            self._announced[visit.key] = VisitAnnouncement(
                visit.announced, one.request.rule, one.key[0]
            )
        self._end(one, State.SENT, note, now)

    def _failure(self, one: Delivery) -> str | None:
        is_own = one.updates is None and one.approves is None
        return self.failing.reason(one.request) if is_own else None

    def _fail(self, one: Delivery, reason: str, now: datetime) -> None:
        """Mark it as failed, and plan its fallback, unless that was planned before."""
        self._end(one, State.FAILED, reason, now)
        for request in instead(one.request, one.id, reason, now):
            if not self._was_announced(request):
                added = self._add(request, request.plan.state, request.plan.reason, now, now)
                self._placed[request.identity, request.shadow] = added

    def _was_announced(self, request: DeliveryRequest) -> bool:
        """Whether it was announced before, or would have been without `enabled: shadow`."""
        before = self._placed.get((request.identity, request.shadow))
        if before is None:
            return (request.identity, request.shadow) in self._placed_before
        return before.counts

    def _take_due(self, now: datetime) -> list[Delivery]:
        taken = []
        while (due := self.next_due()) is not None and due <= now:
            taken.append(self.deliveries[heappop(self._due)[1] - 1])
        return taken

    def _hold(self, one: Delivery, stop: Stop) -> None:
        one.hold(stop)
        self._plan_again(one, stop.again_at)
        self._log.append(replace(one))

    def _plan_again(self, one: Delivery, due: datetime | None) -> None:
        one.due = due
        if due is not None:
            heappush(self._due, (due, one.id))

    def _refuse(self, one: Delivery, reason: str, now: datetime) -> None:
        if one.is_pending:
            self._end(one, State.SKIPPED, reason, now)

    def _ask(self, one: Delivery, now: datetime) -> None:
        """Place the question to the approver. There are no answers in a simulation."""
        if (asks := question(one.request, one.id)) is not None:
            self._add(asks, asks.plan.state, None, now, now).approves = one.id

    def _add(
        self,
        request: DeliveryRequest,
        state: State,
        reason: str | None,
        due: datetime,
        now: datetime,
    ) -> Delivery:
        number = len(self.deliveries) + 1
        one = Delivery(
            number, request.event.id, request, now, state, reason, text=request.plan.text
        )
        self.deliveries.append(one)
        self._of_task[one.key].append(one)
        if state in {State.SKIPPED, State.EXPIRED}:
            one.settled_at = now
        else:
            one.due = due
            heappush(self._due, (due, number))
        self._log.append(replace(one))
        return one

    def _rewrite(self, sent: Delivery, event: Event, now: datetime) -> None:
        self._rewritten.add(sent.id)
        self._placed.pop((sent.request.identity, sent.request.shadow), None)
        one = self._add(sent.request, State.PLANNED, None, now, now)
        one.event, one.updates = event.id, sent.id
        one.text = f"No longer true (task was {event.kind}): {sent.text}"

    def _pending_of(self, key: Key) -> Iterator[Delivery]:
        return (one for one in self._of_task.get(key, ()) if one.is_pending)

    def _is_due(self, due: datetime, number: int) -> bool:
        one = self.deliveries[number - 1]
        return one.is_pending and one.due == due

    def _end(self, one: Delivery, state: State, reason: str | None, now: datetime) -> None:
        one.state, one.reason, one.settled_at, one.due = state, reason, now, None
        self._log.append(replace(one))


def _send_at(delivery: Delivery) -> datetime:
    return delivery.request.plan.send_at
