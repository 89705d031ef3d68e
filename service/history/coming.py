"""What will be sent, and when, if nothing changes: the present, and time that goes on."""

from collections.abc import Sequence
from datetime import datetime

from service.books.outbox import Delivery
from service.model import State
from service.outbox import coming, muting, storms
from service.rehearsal import Rehearsal
from service.store import Connection, digests, events, history, outlook, settling


async def ahead(
    rehearsal: Rehearsal, connection: Connection, until: datetime
) -> Sequence[Delivery]:
    """What would go out from the rehearsal's start, which is now, up to `until`, in that order."""
    now, books = rehearsal.clock.now(), rehearsal.books
    books.outbox.remember(await history.placed_before(connection, now))
    books.outbox.remember_storms(await storms.lately(connection, now))
    books.outbox.remember_mutes(await muting.holding(connection))
    books.last_id = await events.last_id(connection)
    await rehearsal.take_over([one async for one in outlook.tasks(connection)])
    for one in await coming.before(connection, now, until):
        books.outbox.resume(one, now)
    for wait, started_at, ends_at in await settling.under_way(connection, until):
        books.resume(wait, started_at, ends_at)
    for join, closes_at in await digests.joined(connection, until):
        books.digests.resume(join, closes_at)
    await rehearsal.go_on(until)
    sent = [(one.settled_at, one) for one in books.outbox.deliveries if one.state is State.SENT]
    later = [(at, one.id, one) for at, one in sent if at is not None]
    return [one for *_, one in sorted(later, key=lambda each: each[:2])]
