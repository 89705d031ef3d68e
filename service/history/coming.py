"""What will be sent, and when, if nothing changes: the present, and time that goes on."""

from collections.abc import Sequence
from datetime import datetime

from service.books.outbox import Delivery
from service.model import State
from service.outbox import coming
from service.rehearsal import Rehearsal
from service.store import Connection, history, settling, tasks


async def ahead(
    rehearsal: Rehearsal, connection: Connection, until: datetime
) -> Sequence[Delivery]:
    """What would go out from the rehearsal's start, which is now, up to `until`, in that order."""
    now, books = rehearsal.clock.now(), rehearsal.books
    books.outbox.remember(await history.placed_before(connection, now))
    planned = await coming.before(connection, until)
    waits = await settling.under_way(connection, until)
    keys = {(one.order.event.account, one.order.event.task_id) for one in planned}
    present = await tasks.present(connection, keys | {wait.key for wait, _, _ in waits})
    await rehearsal.remember(list(present.items()))
    await books.save(await tasks.ringing_before(connection, until))
    for one in planned:
        books.outbox.resume(one.order, one.due, one.reason, now)
    for wait, started_at, ends_at in waits:
        books.resume(wait, started_at, ends_at)
    await rehearsal.go_on(until)
    sent = [one for one in books.outbox.deliveries if one.state is State.SENT]
    return sorted(sent, key=lambda one: (one.settled_at or now, one.id))
