"""A delivery in memory: a request, and its outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from service.domain.contacts import NOBODY, Receivers
from service.domain.model import Event, State, Task
from service.domain.storms import StormScope
from service.domain.system_actions import WRITES
from service.outbox import DeliveryRequest
from service.outbox.gates import Candidate, Stop
from service.outbox.undoing import UNDONE
from service.rules.contacts.receivers import receivers
from service.rules.message_basis import MessageBasis
from service.rules.recipients import reaches_customer
from service.rules.rewriting import NewText
from service.rules.visits import Visit
from service.store.tasks import Key

_PENDING = frozenset({State.PLANNED, State.HELD})
# Once per key: what was never sent does not count. As the index `deliveries_once` has it.
NOT_COUNTED = frozenset({State.SKIPPED, State.CANCELLED, State.EXPIRED})


@dataclass(slots=True)
class Delivery:
    """A request and its outcome. `due` is when it is to be sent, while it is pending.

    - `event`: the event that it is about
    - `updates`: the delivery whose message it updates
    - `approves`: the delivery for which it requests approval
    - `is_exempt`: a person requested it, so it is exempt from most gates
    - `is_past_storm`: a person released it from a storm
    - `is_approved`: a person approved it
    - `at_once`: a person wants it sent now, outside its rule's hours too
    - `is_held_back`: a hold or a storm has it wait
    - `stored`: the id of its row in the database, if it was taken over from there

    All times are UTC.
    """

    id: int
    event: int
    request: DeliveryRequest
    created_at: datetime
    state: State
    reason: str | None = None
    due: datetime | None = None
    settled_at: datetime | None = None
    text: str = ""
    updates: int | None = None
    approves: int | None = None
    is_exempt: bool = False
    is_past_storm: bool = False
    is_held_back: bool = False
    is_approved: bool = False
    at_once: bool = False
    stored: int | None = None

    @property
    def key(self) -> Key:
        return self.request.event.account, self.request.event.task_id

    def hold(self, stop: Stop) -> None:
        """Have it wait, unless its task changes."""
        self.state, self.reason = State.HELD, stop.reason
        self.is_held_back = stop.hold is not None or stop.storm is not None
        self.request = self.request.ending_with_task()

    @property
    def flood(self) -> StormScope | None:
        """The group in which the storm guard counts it, if any."""
        is_let_go = self.updates is not None or self.is_exempt or self.is_past_storm
        return None if is_let_go else self.request.flood

    def follows(self, earlier: "Delivery") -> bool:
        """Whether the same step tells the same receiver of a later event of the same task."""
        plan, told = self.request.plan, earlier.request.plan
        return (
            self.request.event.id > earlier.request.event.id
            and self.request.rule == earlier.request.rule
            and (plan.step, plan.channel, plan.target) == (told.step, told.channel, told.target)
            and (self.is_pending or self.state is State.SENT)
            and self.updates is None
        )

    @property
    def candidate(self) -> Candidate:
        """The delivery as the gates see it once it is due."""
        plan, event = self.request.plan, self.request.event
        return Candidate(
            id=self.id,
            key=self.key,
            rule=self.request.rule,
            channel=plan.channel,
            target=plan.target,
            decided_task=lambda: event.task if event.task_id else None,
            once_key=plan.once_key,
            expires_at=plan.expires_at if self.updates is None else None,
            approver=plan.approver if plan.asks else None,
            approve_by=plan.asks.expires_at if plan.asks else None,
            shadow=self.request.shadow,
            is_exempt=self.is_exempt or self.updates is not None or self.approves is not None,
            muted_by=plan.muted_by,
            reaches_customer=self._is_for_customer,
            flood=self.flood,
            visit=self.visit,
            even_if_told=plan.even_if_told,
            at_once=self.at_once,
            receivers=self.receivers,
            told_of=[(task.account, task.id) for task in self._digest],
            waited=self.reason if self.is_held_back and self.state is State.HELD else None,
        )

    @property
    def grounds(self) -> MessageBasis | None:
        """The facts that it depends on, if it reaches the customer of its task, or of several."""
        plan = self.request.plan
        if not self._is_for_customer:
            return None
        return MessageBasis(
            self.request.event,
            self.request.rule,
            plan.channel,
            plan.target,
            self.created_at,
            self.is_exempt,
            plan.expires_at,
            text=self.text,
            subject=plan.subject,
            is_approved=self.is_approved,
            tells_of=plan.tells_of,
            step=plan.step,
            once_key=plan.once_key,
            due_at=plan.send_at,
        )

    @property
    def _is_for_customer(self) -> bool:
        is_own = self.updates is None and self.approves is None
        return is_own and self._reaches_customer

    @property
    def _reaches_customer(self) -> bool:
        event, plan = self.request.event, self.request.plan
        if plan.tells_of is not None or not event.task_id or plan.channel in WRITES:
            return plan.tells_of is not None
        return reaches_customer(event.after or event.before, plan.channel, plan.target)

    @property
    def receivers(self) -> Receivers:
        """Whom it reaches, or whose message it updates."""
        event, plan = self.request.event, self.request.plan
        if self.approves is not None or plan.channel in WRITES:
            return NOBODY
        single = [event.task] if event.task_id else []
        return receivers(plan.channel, plan.target, self._digest or single)

    @property
    def _digest(self) -> Sequence[Task]:
        """The tasks that it tells a customer of, if these are several."""
        group = self.request.plan.tells_of
        return () if group is None else group.tasks

    @property
    def visit(self) -> Visit | None:
        """The visit that it is about, if that is announced once; an update announces nothing."""
        return self.request.plan.visit if self.updates is None else None

    @property
    def is_pending(self) -> bool:
        return self.state in _PENDING

    @property
    def counts(self) -> bool:
        """Whether it was announced, or would have been without `enabled: shadow`."""
        is_on_trial = self.request.shadow and self.state is State.SKIPPED
        return self.state not in NOT_COUNTED or is_on_trial

    def rewrite(self, news: NewText) -> None:
        """Give it the text with which it is sent."""
        plan = replace(self.request.plan, text=news.text, markup=news.markup, subject=news.subject)
        self.request, self.text = replace(self.request, plan=plan), news.text

    def is_ended_by(self, event: Event) -> bool:
        """Whether the event cancels it while it is not sent; never for an update."""
        plan, cause = self.request.plan, self.request.event
        if self.updates is not None or cause.id >= event.id:
            return False
        return not event.words.isdisjoint(plan.withdraw_on)

    def is_undone_by(self, event: Event) -> bool:
        """Whether its message was sent, has `on_undo`, and the event undoes its cause."""
        cause = self.request.event
        if self.request.plan.on_undo is None or self.updates is not None:
            return False
        if self.state is not State.SENT or cause.id >= event.id:
            return False
        return (cause.kind, event.kind) in UNDONE
