"""Simulates the future: the deliveries that will be sent, and when, if no task changes."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.change_plan import pending_counts
from service.domain.contacts import Choices, SentCounts
from service.domain.digests import Join
from service.domain.model import State
from service.domain.operators.holds import Hold
from service.domain.storms import Lately
from service.outbox import contacted, holds, mutes, snapshot, storms, visits
from service.outbox.mutes import Mute
from service.outbox.snapshot import PendingOrder
from service.simulator import Simulator
from service.simulator.memory.deliveries import Delivery
from service.store import Connection, digests, events, history, waits
from service.store.operators import contact_choices
from service.store.tasks import TaskState
from service.store.waits import Wait


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Everything that has begun and is not over: what a simulation of the future begins with."""

    storms: Lately
    holds: Sequence[Hold]
    contacted: SentCounts
    mutes: Sequence[Mute]
    last_event: int
    orders: Sequence[PendingOrder]
    waits: Sequence[tuple[Wait, datetime, datetime]]
    digests: Sequence[tuple[Join, datetime]]

    @classmethod
    async def read(cls, connection: Connection, now: datetime, until: datetime) -> "UnderWay":
        """What is due by `until` (UTC), as it stands `now`."""
        return cls(
            await storms.lately(connection, now),
            await holds.still_on(connection, now),
            await contacted.lately(connection, now),
            await mutes.holding(connection),
            await events.last_id(connection),
            await snapshot.read(connection, now, until),
            await waits.under_way(connection, until),
            await digests.joined(connection, until),
        )

    def of(self, accounts: Collection[str]) -> "UnderWay":
        """The same without what belongs to other accounts."""
        return UnderWay(
            self.storms,
            self.holds,
            self.contacted,
            self.mutes,
            self.last_event,
            [one for one in self.orders if one.request.event.account in accounts],
            [one for one in self.waits if one[0].first.account in accounts],
            [one for one in self.digests if one[0].account in accounts],
        )


async def upcoming(
    simulator: Simulator, connection: Connection, until: datetime
) -> Sequence[Delivery]:
    """The deliveries that would be sent from now, where the simulation starts, up to `until`.

    They are in the order of their send times. All pending work is loaded from the database:
    deliveries, waits, open digests, alarms, storms, mutes, and what customers were told about
    visits. Accounts that are not in the simulation are left out.
    """
    now, tx = simulator.clock.now(), simulator.tx
    tx.outbox.remember(await history.placed_before(connection, now))
    tx.outbox.remember_announced(await visits.known(connection))
    tx.outbox.contacts.choices = Choices(await contact_choices.known(connection, now))
    known = [one async for one in pending_counts.tasks(connection)]
    await take_over(simulator, known, await UnderWay.read(connection, now, until))
    await simulator.go_on(until)
    return in_order(simulator.tx.outbox.deliveries)


async def take_over(
    simulator: Simulator, tasks: Iterable[tuple[str, TaskState]], begun: UnderWay
) -> None:
    """Let the simulation go on with these tasks (account, state) and what is under way."""
    now, tx, accounts = simulator.clock.now(), simulator.tx, simulator.accounts
    tx.outbox.remember_storms(begun.storms)
    tx.outbox.contacts.holds = begun.holds
    tx.outbox.contacts.sent = begun.contacted
    tx.outbox.remember_mutes(begun.mutes)
    tx.events.last_id = begun.last_event
    await simulator.adopt_alarms([one for one in tasks if one[0] in accounts])
    mine = begun.of(accounts)
    for order in mine.orders:
        tx.outbox.resume(order, now)
    for wait, started_at, ends_at in mine.waits:
        tx.waits.resume(wait, started_at, ends_at)
    for join, closes_at in mine.digests:
        tx.digests.resume(join, closes_at)


def in_order(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Those that would be sent, in the order in which they would go out."""
    sent = [(one.settled_at, one) for one in deliveries if one.state is State.SENT]
    later = [(at, one.id, one) for at, one in sent if at is not None]
    return [one for *_, one in sorted(later, key=lambda each: each[:2])]
