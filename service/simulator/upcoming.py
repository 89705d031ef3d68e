"""What will be sent, and when, if no task changes: the present state, played forward."""

from collections.abc import Sequence
from datetime import datetime

from service.change_plan import pending_counts
from service.domain.model import State
from service.outbox import mutes, snapshot, storms, visits
from service.simulator import Rehearsal
from service.simulator.memory.deliveries import Delivery
from service.store import Connection, digests, events, history, waits


async def upcoming(
    rehearsal: Rehearsal, connection: Connection, until: datetime
) -> Sequence[Delivery]:
    """The deliveries that would be sent from now, where the rehearsal starts, up to `until`.

    In the order in which they would go out. Everything that is under way is taken over from the
    database: pending deliveries, waits, open digests, alarms, storms, mutes, and
    what customers have been told.
    """
    now, books = rehearsal.clock.now(), rehearsal.books
    books.outbox.remember(await history.placed_before(connection, now))
    books.outbox.remember_storms(await storms.lately(connection, now))
    books.outbox.remember_told(await visits.known(connection))
    books.outbox.remember_mutes(await mutes.holding(connection))
    books.last_id = await events.last_id(connection)
    await rehearsal.take_over([one async for one in pending_counts.tasks(connection)])
    for one in await snapshot.read(connection, now, until):
        books.outbox.resume(one, now)
    for wait, started_at, ends_at in await waits.under_way(connection, until):
        books.waits.resume(wait, started_at, ends_at)
    for join, closes_at in await digests.joined(connection, until):
        books.digests.resume(join, closes_at)
    await rehearsal.go_on(until)
    sent = [(one.settled_at, one) for one in books.outbox.deliveries if one.state is State.SENT]
    later = [(at, one.id, one) for at, one in sent if at is not None]
    return [one for *_, one in sorted(later, key=lambda each: each[:2])]
