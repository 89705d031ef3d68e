"""Events: their numbers, and when the dates of tasks moved."""

from datetime import timedelta

from service.domain.model import Kind
from tests.conformance.storages import LONDON, PARIS, Storage
from tests.harness.tasks import START, task

HOUR = timedelta(hours=1)


async def test_ids_ascend(storage: Storage) -> None:
    """Also from one event to the next."""
    ids = await storage.tx.events.allot_ids(3)
    later = await storage.tx.events.allot_ids(2)
    assert len({*ids, *later}) == 5
    assert [*ids, *later] == sorted([*ids, *later])


async def test_an_id_is_allotted_once(storage: Storage) -> None:
    """Whether or not an event comes of it."""
    [unused] = await storage.tx.events.allot_ids(1)
    event = await storage.happen(Kind.CREATED)
    [later] = await storage.tx.events.allot_ids(1)
    assert unused < event.id < later


async def test_moves_of_dates_are_found_in_their_order(storage: Storage) -> None:
    """Since a moment, of the tasks that are asked for; other events are not among them."""
    await storage.happen(Kind.RESCHEDULED, at=START - HOUR)
    before, after = task(due=START), task(due=START + HOUR)
    first = await storage.happen(
        Kind.RESCHEDULED, before=before, after=after, changed=("due", "start")
    )
    await storage.happen(Kind.COMPLETED, at=START + HOUR)
    second = await storage.happen(Kind.RESCHEDULED, at=START + HOUR)
    other = await storage.happen(Kind.RESCHEDULED, "T2")
    await storage.happen(Kind.RESCHEDULED, "T3")
    await storage.happen(Kind.RESCHEDULED, account=PARIS)
    found = await storage.tx.events.rescheduled([(LONDON, "T1"), (LONDON, "T2")], START)
    assert found == {(LONDON, "T1"): [first, second], (LONDON, "T2"): [other]}


async def test_a_task_that_never_moved_is_not_among_them(storage: Storage) -> None:
    """There is nothing to be said of it."""
    await storage.happen(Kind.CREATED)
    assert await storage.tx.events.rescheduled([(LONDON, "T1")], START) == {}
