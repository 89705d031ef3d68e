"""Simulates the future: the deliveries that will be sent, and when, if no task changes."""

from collections.abc import Sequence
from datetime import datetime

from service.change_plan import pending_counts
from service.domain.model import State
from service.outbox import mutes, snapshot, storms, visits
from service.simulator import Simulator
from service.simulator.memory.deliveries import Delivery
from service.store import Connection, digests, events, history, waits


async def upcoming(
    simulator: Simulator, connection: Connection, until: datetime
) -> Sequence[Delivery]:
    """The deliveries that would be sent from now, where the simulation starts, up to `until`.

    They are in the order of their send times. All pending work is loaded from the database:
    deliveries, waits, open digests, alarms, storms, mutes, and what customers were told about
    visits. Accounts that are not in the simulation are left out.
    """
    now, tx, accounts = simulator.clock.now(), simulator.tx, simulator.accounts
    tx.outbox.remember(await history.placed_before(connection, now))
    tx.outbox.remember_storms(await storms.lately(connection, now))
    tx.outbox.remember_told(await visits.known(connection))
    tx.outbox.remember_mutes(await mutes.holding(connection))
    tx.events.last_id = await events.last_id(connection)
    known = pending_counts.tasks(connection)
    await simulator.adopt_alarms([one async for one in known if one[0] in accounts])
    for one in await snapshot.read(connection, now, until):
        if one.request.event.account in accounts:
            tx.outbox.resume(one, now)
    for wait, started_at, ends_at in await waits.under_way(connection, until):
        if wait.first.account in accounts:
            tx.waits.resume(wait, started_at, ends_at)
    for join, closes_at in await digests.joined(connection, until):
        if join.event.account in accounts:
            tx.digests.resume(join, closes_at)
    await simulator.go_on(until)
    sent = [(one.settled_at, one) for one in tx.outbox.deliveries if one.state is State.SENT]
    later = [(at, one.id, one) for at, one in sent if at is not None]
    return [one for *_, one in sorted(later, key=lambda each: each[:2])]
