"""Where memory differs from PostgreSQL by design, each with the reason.

Locks and rollbacks are PostgreSQL's alone: a simulation is the only one at its storage, and throws
all of it away.
"""

from datetime import timedelta

from service.domain.digests import Join, Joining
from service.domain.model import Cause, Kind, Observation
from service.domain.schedules import Schedule
from service.store.announcements import Announcement
from service.store.tasks import Key, TaskState, TaskUpdate
from tests.conformance.storages import (
    LONDON,
    PARIS,
    WATCH,
    ZONES,
    MemoryStorage,
    PostgresStorage,
    Storage,
    key_of,
)
from tests.harness.tasks import START, task

MINUTE = timedelta(minutes=1)
T1: Key = (LONDON, "T1")
WATCHES = {LONDON: WATCH}


async def test_memory_takes_all_at_once(
    postgres_storage: PostgresStorage, memory_storage: MemoryStorage
) -> None:
    """Limits are for the sake of others, and in a simulation nobody else waits."""

    async def taken(storage: Storage) -> list[int]:
        """How many alarms, waits and digests are taken where one is asked for."""
        await storage.know(task("T1"), task("T2"), alarm=START)
        for name in ("T1", "T2"):
            event = await storage.happen(Kind.CHANGED, name)
            await storage.tx.waits.start("r", event, START, MINUTE, MINUTE)
            await storage.tx.digests.join(
                [Join("r", event.account, event, Joining(name, MINUTE, 9))], START
            )
        now = START + MINUTE
        return [
            len(await storage.tx.tasks.lock_due(WATCHES, now, 1)),
            len(await storage.tx.waits.over([LONDON], now, 1)),
            len(await storage.tx.digests.take([LONDON], now, 1)),
        ]

    assert await taken(postgres_storage) == [1, 1, 1]
    assert await taken(memory_storage) == [2, 2, 2]


async def test_no_account_is_outdated_in_memory(
    postgres_storage: PostgresStorage, memory_storage: MemoryStorage
) -> None:
    """In memory the known state is always current."""
    await postgres_storage.tx.connection.execute(
        "UPDATE accounts SET alive_until = $1 WHERE name = $2", START - MINUTE, PARIS
    )
    assert await postgres_storage.tx.accounts.stale(ZONES, START) == {PARIS}
    assert await memory_storage.tx.accounts.stale(ZONES, START) == frozenset()


async def test_schedules_come_in_memory_whatever_was_read(
    postgres_storage: PostgresStorage, memory_storage: MemoryStorage
) -> None:
    """The accounts of a simulation have been read as a whole."""
    wanted = {("r", LONDON): Schedule("0 * * * *", ZONES[LONDON])}
    await postgres_storage.tx.connection.execute("UPDATE accounts SET baseline_at = NULL")
    for storage, comes in [(postgres_storage, False), (memory_storage, True)]:
        await storage.put_in_force(wanted, START)
        slot = await storage.tx.schedules.take(wanted, START + 60 * MINUTE)
        assert (slot is not None) == comes


async def test_nothing_is_looked_up_in_memory(
    postgres_storage: PostgresStorage, memory_storage: MemoryStorage
) -> None:
    """In memory there is no system to ask, so no alarm waits for a lookup."""
    for storage, due in [(postgres_storage, 0), (memory_storage, 1)]:
        await storage.know(task(), alarm=START)
        await storage.tx.lookups.ask([T1], Cause.WEBHOOK, START)
        assert len(await storage.tx.tasks.lock_due(WATCHES, START, 9)) == due


async def test_nothing_is_announced_in_memory(
    postgres_storage: PostgresStorage, memory_storage: MemoryStorage
) -> None:
    """In memory an announced change is observed at once."""
    early = Announcement(T1, 7, Kind.COMPLETED, START, task=task())
    await postgres_storage.tx.announcements.keep([early])
    assert await postgres_storage.tx.announcements.by_task([T1]) == {T1: [early]}
    assert await memory_storage.tx.announcements.by_task([T1]) == {}


async def test_memory_is_told_what_is_being_written(memory_storage: MemoryStorage) -> None:
    """Nothing is really written in a simulation; a backtest knows by the record what was."""
    memory_storage.tx.provenance.written = {T1: frozenset({"done"})}
    looks = [Observation(LONDON, name, None, START, Cause.POLL) for name in ("T1", "T2")]
    found = await memory_storage.tx.provenance.writes_under_way(looks)
    assert found == {T1: frozenset({"done"})}


async def test_memory_keeps_what_was_never_locked(
    postgres_storage: PostgresStorage, memory_storage: MemoryStorage
) -> None:
    """Nobody else is there who could lock it; a lock is what makes the row in PostgreSQL."""
    update = TaskUpdate(key_of(task()), TaskState(task(), observed_at=START))
    for storage, known in [(postgres_storage, {}), (memory_storage, {T1: task()})]:
        await storage.tx.tasks.save([update])
        assert await storage.tx.tasks.present([T1]) == known


async def test_memory_pages_have_whole_tasks(
    postgres_storage: PostgresStorage, memory_storage: MemoryStorage
) -> None:
    """PostgreSQL converts only the fields that are wanted; in memory nothing is converted."""
    for storage, status in [(postgres_storage, None), (memory_storage, "open")]:
        await storage.know(task(status="open"))
        [[found]] = [page async for page in storage.tx.tasks.pages(LONDON, ["title"])]
        assert (found.id, found.title, found.status) == ("T1", "Smith gutters", status)
