"""Tasks: their last known states, and when the clock looks at them."""

from dataclasses import replace
from datetime import timedelta

from service.domain.recurrence import ReportedCompletion
from service.store.tasks import Key, TaskState, TaskUpdate
from tests.conformance.storages import LONDON, PARIS, WATCH, Storage, key_of
from tests.harness.tasks import SMITH, START, task

HOUR = timedelta(hours=1)
WATCHES = {LONDON: WATCH, PARIS: WATCH}
NOBODY: Key = (LONDON, "T9")


async def titles(storage: Storage, account: str) -> dict[str, str]:
    """Every task of an account, by its id."""
    pages = storage.tx.tasks.pages(account, ["title"])
    return {one.id: one.title async for page in pages for one in page}


async def due(storage: Storage, hours: int) -> list[str]:
    """The tasks whose alarm has come so many hours later, in their order."""
    found = await storage.tx.tasks.lock_due(WATCHES, START + hours * HOUR, 100)
    return [task_id for _, task_id in found]


async def test_of_an_unknown_task_nothing_is_known(storage: Storage) -> None:
    """It is locked anyway, and there is still no task."""
    assert await storage.tx.tasks.lock([NOBODY]) == {NOBODY: TaskState()}
    assert await storage.tx.tasks.present([NOBODY]) == {}
    assert await titles(storage, LONDON) == {}


async def test_what_is_saved_is_known(storage: Storage) -> None:
    """All of it, to the second and the byte."""
    state = TaskState(
        task("T1", customer=SMITH, tags=("a",), due=START),
        version=START - HOUR,
        observed_at=START,
        fingerprint=b"0123456789abcdef",
        announced_until={"due": START + HOUR},
        unread={"due_date": "soon"},
        told=(
            ReportedCompletion(START - HOUR, (START, None)),
            ReportedCompletion(START, (START + HOUR, None), START - HOUR),
        ),
    )
    key = (LONDON, "T1")
    await storage.tx.tasks.lock([key])
    await storage.tx.tasks.save([TaskUpdate(key, state, START + HOUR, WATCH)])
    assert await storage.tx.tasks.lock([key]) == {key: replace(state, alarm_set=WATCH)}


async def test_the_last_state_counts(storage: Storage) -> None:
    """Of a task that is saved twice."""
    await storage.know(task(title="first"))
    await storage.know(task(title="second"))
    assert await titles(storage, LONDON) == {"T1": "second"}


async def test_each_task_is_locked_once(storage: Storage) -> None:
    """However often it is asked for, beside others."""
    one, other = task("T1"), task("T2")
    await storage.know(one, other)
    keys = [key_of(other), key_of(one), key_of(other)]
    found = await storage.tx.tasks.lock(keys)
    assert {key: state.task for key, state in found.items()} == {
        key_of(one): one,
        key_of(other): other,
    }


async def test_a_deleted_task_is_not_present(storage: Storage) -> None:
    """What was lost is still known."""
    lost, there = task("T1"), task("T2")
    await storage.know(lost, there)
    state = TaskState(lost, deleted_at=START, observed_at=START)
    await storage.tx.tasks.save([TaskUpdate(key_of(lost), state)])
    keys = [key_of(lost), key_of(there), NOBODY]
    assert await storage.tx.tasks.present(keys) == {key_of(there): there}
    assert await titles(storage, LONDON) == {"T2": there.title}
    assert (await storage.tx.tasks.lock([key_of(lost)]))[key_of(lost)].task == lost


async def test_a_task_that_its_system_never_had_is_not_present(storage: Storage) -> None:
    """Its system was asked, and said that there is none."""
    state = TaskState(deleted_at=START, observed_at=START)
    await storage.tx.tasks.lock([NOBODY])
    await storage.tx.tasks.save([TaskUpdate(NOBODY, state)])
    assert await storage.tx.tasks.present([NOBODY]) == {}
    assert await titles(storage, LONDON) == {}
    assert await storage.tx.tasks.lock([NOBODY]) == {NOBODY: state}


async def test_pages_have_the_tasks_of_one_account(storage: Storage) -> None:
    """With their ids and the fields that were asked for."""
    await storage.know(task("T1", title="a"), task("T2", title="b"), task("T3", PARIS, title="c"))
    assert await titles(storage, LONDON) == {"T1": "a", "T2": "b"}
    assert await titles(storage, PARIS) == {"T3": "c"}


async def test_what_was_locked_and_never_seen_is_forgotten(storage: Storage) -> None:
    """And nothing else: a task that was saved stays."""
    await storage.know(task())
    keys = [key_of(task()), NOBODY]
    await storage.tx.tasks.lock(keys)
    await storage.tx.tasks.forget_placeholders(keys)
    assert (await storage.tx.tasks.lock(keys))[key_of(task())].task == task()
    assert await storage.tx.tasks.present(keys) == {key_of(task()): task()}


async def test_an_alarm_is_due_at_its_moment(storage: Storage) -> None:
    """And not before."""
    await storage.know(task(), alarm=START + HOUR)
    await storage.know(task("T2"))
    assert await due(storage, 0) == []
    assert await due(storage, 1) == ["T1"]


async def test_alarms_are_due_in_their_order(storage: Storage) -> None:
    """The one that has waited longest comes first; those of one moment by their accounts and ids.

    Each has the state of its task.
    """
    await storage.know(task("T3"), alarm=START)
    await storage.know(task("T5", PARIS), task("T2"), task("T1"), alarm=START + HOUR)
    await storage.know(task("T4"), alarm=START + 2 * HOUR)
    found = await storage.tx.tasks.lock_due(WATCHES, START + HOUR, 100)
    assert [key for key, _ in found.items()] == [
        (LONDON, "T3"),
        (LONDON, "T1"),
        (LONDON, "T2"),
        (PARIS, "T5"),
    ]
    assert [state.task and state.task.id for state in found.values()] == ["T3", "T1", "T2", "T5"]


async def test_an_alarm_is_due_until_another_one_is_set(storage: Storage) -> None:
    """A look that changes nothing about it takes it away from nobody."""
    await storage.know(task(), alarm=START)
    assert await due(storage, 1) == ["T1"]
    assert await due(storage, 1) == ["T1"]
    await storage.know(task(), alarm=START + 2 * HOUR)
    assert await due(storage, 1) == []
    assert await due(storage, 2) == ["T1"]
    await storage.know(task())
    assert await due(storage, 9) == []


async def test_what_another_watch_has_set_is_not_due(storage: Storage) -> None:
    """Due once this alarm set takes it over, and never in an account that may not send."""
    await storage.know(task(), alarm=START, alarm_set="another")
    assert await due(storage, 1) == []
    await storage.know(task(), alarm=START)
    assert await storage.tx.tasks.lock_due({PARIS: WATCH}, START + HOUR, 100) == {}
    assert await due(storage, 1) == ["T1"]
