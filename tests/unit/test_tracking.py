"""What one look at a task does to what is known of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from service.domain.alarms import WatchedDates
from service.domain.model import Cause, Customer, Kind, Observation, Person, Task
from service.engine.tracking import needs_reread, on_its_day, track, with_known_fields
from service.store.accounts import AccountState
from service.store.tasks import TaskState
from tests.harness.tasks import ANN, BO, SMITH, START, task

ESTABLISHED = AccountState(
    name="london",
    added_at=START - timedelta(days=30),
    baseline_at=START - timedelta(days=30),
    scanned_at=None,
    watermark=None,
    failures=0,
)
FRESH = replace(ESTABLISHED, added_at=START, baseline_at=None)


def watched(*names: str) -> WatchedDates:
    return WatchedDates(frozenset(names), ZoneInfo("UTC"))


NO_DATES = watched()


def look(seen: Task | None, minute: float = 0, cause: Cause = Cause.POLL) -> Observation:
    return Observation("london", "T1", seen, START + timedelta(minutes=minute), cause)


def kinds(known: TaskState, seen: Observation, account: AccountState = ESTABLISHED) -> list[Kind]:
    step = track(known, seen, account, watched("due"), START)
    return [] if step is None else [one.kind for one in step.transitions]


def test_the_first_sync_is_silent() -> None:
    """What a new account's first scan finds is the baseline, not news, and the past is rung."""
    step = track(TaskState(), look(task()), FRESH, watched("due"), START)
    assert step is not None
    assert step.transitions == []
    assert step.known.announced_until == {"due": START}


def test_a_task_made_during_the_first_sync_and_pushed_is_news() -> None:
    """A webhook about a task younger than the account announces it."""
    made = task(created_at=START + timedelta(seconds=5))
    assert kinds(TaskState(), look(made, 1, Cause.WEBHOOK), FRESH) == [Kind.CREATED]


def test_an_old_task_pushed_during_the_first_sync_is_silent() -> None:
    """A webhook about a task that the baseline will hold anyway announces nothing."""
    old = task(created_at=START - timedelta(days=5))
    assert kinds(TaskState(), look(old, 1, Cause.WEBHOOK), FRESH) == []


def test_after_the_first_sync_an_unknown_task_is_created() -> None:
    """A poll that finds a young task announces it."""
    assert kinds(TaskState(), look(task(created_at=START))) == [Kind.CREATED]


def test_an_old_task_that_slides_into_the_window_is_silent() -> None:
    """A scan window that moves on finds tasks that are older than the account: no news."""
    old = task(created_at=START - timedelta(days=99))
    assert kinds(TaskState(), look(old)) == []


def test_a_page_asked_for_before_the_webhook_came_is_stale() -> None:
    """A slow poll that shows the task as it was does not move it back."""
    known = TaskState(task=task(done=True), observed_at=START + timedelta(minutes=5))
    assert track(known, look(task(), minute=4), ESTABLISHED, NO_DATES, START) is None


def test_an_older_version_is_stale_however_late_it_comes() -> None:
    """The system's own stamp outranks the order in which looks arrive."""
    known = TaskState(task=task(done=True), observed_at=START, version=START)
    late = replace(look(task(), minute=9), version=START - timedelta(minutes=1))
    assert track(known, late, ESTABLISHED, NO_DATES, START) is None


def test_a_version_of_a_day_to_come_makes_no_look_stale() -> None:
    """A clock over there was a year ahead: what came later counts, once that is put right."""
    ahead = START + timedelta(days=365)
    known = TaskState(task=task(), observed_at=START, version=ahead)
    right = replace(look(task(done=True), minute=9), version=START + timedelta(minutes=8))
    assert kinds(known, right) == [Kind.COMPLETED]
    before = replace(look(task(done=True), minute=-1), version=START - timedelta(minutes=2))
    assert track(known, before, ESTABLISHED, NO_DATES, START) is None


def test_what_a_complete_scan_confirmed_later_is_not_unsaid() -> None:
    """A look asked for before the last complete scan may be older than what the scan confirmed."""
    known = TaskState(task=task(), observed_at=START)
    scanned = replace(ESTABLISHED, scanned_at=START + timedelta(minutes=9))
    assert needs_reread(known, look(task(done=True), minute=5), scanned)
    assert not needs_reread(known, look(task(done=True), minute=9), scanned)
    assert not needs_reread(known, look(task(done=True), minute=5), ESTABLISHED)


def test_deleted_then_seen_again_is_restored() -> None:
    """A task that comes back is announced as what it is."""
    gone = track(
        TaskState(task=task(), observed_at=START), look(None, 1), ESTABLISHED, NO_DATES, START
    )
    assert gone is not None
    assert [one.kind for one in gone.transitions] == [Kind.DELETED]
    assert kinds(gone.known, look(task(), 2)) == [Kind.RESTORED]


def test_a_restored_task_rings_again_for_what_is_to_come_and_for_nothing_past() -> None:
    """Its alarms begin anew at that moment; what was told ahead of its hour stays told."""
    ahead = START + timedelta(hours=1)
    announced_until = {"due": START - timedelta(days=3), "start": ahead}
    known = TaskState(
        task=task(), deleted_at=START, observed_at=START, announced_until=announced_until
    )
    back = track(known, look(task(), 2), ESTABLISHED, watched("due", "start"), START)
    assert back is not None
    assert back.known.announced_until == {"due": START, "start": ahead}


def test_what_was_asked_for_before_the_system_said_there_is_no_such_task_is_stale() -> None:
    """An answer that crosses a later one announces no task that is gone, known before or not."""
    deleted = TaskState(task=task(), observed_at=START, deleted_at=START)
    for known, told in ((TaskState(), Kind.CREATED), (deleted, Kind.RESTORED)):
        gone = track(known, look(None, 5), ESTABLISHED, NO_DATES, START)
        assert gone is not None
        assert gone.transitions == []
        assert track(gone.known, look(task(), 4), ESTABLISHED, NO_DATES, START) is None
        assert kinds(gone.known, look(task(created_at=START), 6)) == [told]


def test_a_task_that_was_hidden_at_first_is_no_more_news_than_others() -> None:
    """That the system said once that there is no such task does not make an old one new."""
    hidden = track(TaskState(), look(None, 1), FRESH, NO_DATES, START)
    assert hidden is not None
    old = task(created_at=START - timedelta(days=99))
    assert kinds(hidden.known, look(old, 2)) == []


states = st.lists(st.booleans(), min_size=1, max_size=6)


@given(states, st.data())
def test_any_order_of_versioned_looks_ends_in_the_last_state(
    history: list[bool], data: st.DataObject
) -> None:
    """Looks that are doubled and shuffled leave the task as its newest version says."""
    looks = [
        replace(
            look(task(done=done, title=str(number)), number),
            version=START + timedelta(minutes=number),
        )
        for number, done in enumerate(history)
    ]
    shuffled = data.draw(st.permutations(looks + looks))
    known = TaskState()
    for one in shuffled:
        step = track(known, one, ESTABLISHED, NO_DATES, START)
        known = known if step is None else step.known
    assert known.task == looks[-1].task


@given(states)
def test_seeing_every_look_twice_doubles_no_transition(history: list[bool]) -> None:
    """The same change by webhook and by poll is one event."""
    looks = [look(task(done=done), number) for number, done in enumerate(history)]

    def transitions(sequence: list[Observation]) -> list[Kind]:
        known, happened = TaskState(), []
        for one in sequence:
            if (step := track(known, one, ESTABLISHED, NO_DATES, START)) is not None:
                known = step.known
                happened += [transition.kind for transition in step.transitions]
        return happened

    doubled = [one for pair in zip(looks, looks, strict=True) for one in pair]
    assert transitions(doubled) == transitions(looks)


def test_a_customer_of_whom_only_the_id_is_told_is_recognised() -> None:
    """A look without the name takes it from what is known; one at somebody else does not."""
    known = TaskState(task=task(customer=SMITH), observed_at=START)
    told = {"c1": SMITH, "c2": Customer(id="c2")}
    for number, customer in told.items():
        seen = with_known_fields(known, look(task(customer=Customer(id=number)), 1))
        assert seen.task == task(customer=customer)
    for other in (task(), None):
        assert with_known_fields(known, look(other, 1)).task == other


def test_what_a_look_leaves_open_stays_as_it_was() -> None:
    """A list that did not show the tags says nothing about them, also not of a task gone since."""
    known = TaskState(task=task(tags=("Sales",), title="Call"), observed_at=START)
    seen = replace(look(task(title="Call again"), 1), untold=frozenset({"tags"}))
    assert with_known_fields(known, seen).task == task(tags=("Sales",), title="Call again")
    assert with_known_fields(TaskState(), seen) == seen
    assert with_known_fields(known, look(None, 1)).task is None
    assert with_known_fields(known, look(task(), 1)).task == task()


def test_people_are_known_by_less_than_all_of_them() -> None:
    """What is pushed has an id, a name or an address in place of who it is; a read has all."""
    known = TaskState(
        task=task(assignee=BO, assignees=(BO, ANN), customer=SMITH), observed_at=START
    )
    for word in ("8", "Ann", "ANN@x.test"):
        less = task(assignees=(Person(id=word),), assignee=Person(id=word))
        seen = with_known_fields(known, replace(look(less, 1), pushed=True))
        assert seen.task == task(assignee=ANN, assignees=(ANN,))
    part = task(customer=Customer(id="c1", name="Smith-Jones"))
    pushed = with_known_fields(known, replace(look(part, 1), pushed=True))
    assert pushed.task == task(customer=replace(SMITH, name="Smith-Jones"))
    assert with_known_fields(known, look(part, 1)).task == part


def test_a_push_that_does_not_say_so_ends_no_objection() -> None:
    """Who has opted out has so until the system itself is read and says otherwise."""
    out = replace(SMITH, opted_out=True)
    known = TaskState(task=task(customer=out), observed_at=START)
    assert (
        with_known_fields(known, replace(look(task(customer=SMITH), 1), pushed=True)).task
        == known.task
    )
    assert with_known_fields(known, look(task(customer=SMITH), 1)).task == task(customer=SMITH)


def test_who_was_first_stays_first_among_the_same_people() -> None:
    """The order of a list means nothing; when the first has left, the next one is first."""
    cy = Person(id="9", name="Cy")
    known = TaskState(task=task(assignee=BO, assignees=(BO, ANN, cy)), observed_at=START)
    told = {
        (cy, ANN, BO): (BO, ANN, cy),
        (ANN, BO): (BO, ANN),
        (cy, ANN): (cy, ANN),
        (): (),
    }
    for shown, kept in told.items():
        seen = task(assignee=next(iter(shown), None), assignees=shown)
        expected = task(assignee=next(iter(kept), None), assignees=kept)
        assert with_known_fields(known, look(seen, 1)).task == expected


def test_whom_a_task_is_for_stays_so_among_several() -> None:
    """Contacts in another order: the one who was known is still among them, or is not."""
    jones = Customer(id="c2", name="Jones")
    known = TaskState(task=task(customer=SMITH), observed_at=START)
    for others, kept in (((jones, SMITH), SMITH), ((jones,), jones), ((), jones)):
        seen = replace(look(task(customer=jones), 1), customers=others)
        assert with_known_fields(known, seen).task == task(customer=kept)


NEW_YORK = ZoneInfo("America/New_York")
LAST_SECOND = datetime(2026, 3, 7, 4, 59, 59, tzinfo=UTC)  # of START's day in New York


def completed(known: TaskState, minute: float, **fields: Any) -> datetime | None:
    """When a task was done, of which its system tells the day, that of START."""
    done = task(done=True, completed_at=LAST_SECOND, completed_at_is_day=True, **fields)
    seen = on_its_day(known, look(done, minute), NEW_YORK).task
    return None if seen is None else seen.completed_at


def test_what_is_done_on_a_day_is_done_when_that_is_seen() -> None:
    """On that day; what is seen later was done by its end, and earlier by its beginning."""
    assert completed(TaskState(), 5) == START + timedelta(minutes=5)
    assert completed(TaskState(), 60 * 24) == LAST_SECOND
    assert completed(TaskState(), -60 * 24) == LAST_SECOND - timedelta(days=1, seconds=-1)


def test_what_is_done_on_the_day_on_which_it_is_due_is_not_late() -> None:
    """Nor is it early, nor done before it was made."""
    due, made = START - timedelta(hours=1), START - timedelta(minutes=10)
    assert completed(TaskState(), 5, due=due) == due
    assert completed(TaskState(), 60 * 24, due=due) == due
    assert completed(TaskState(), 5, due=START + timedelta(hours=1)) == START + timedelta(minutes=5)
    assert completed(TaskState(), 5, due=due - timedelta(days=1)) == START + timedelta(minutes=5)
    assert completed(TaskState(), 5, due=due, created_at=made) == made


def test_the_moment_found_for_a_completion_stays() -> None:
    """A later look at the same completion moves it nowhere; one of another day does."""
    first = on_its_day(
        TaskState(),
        look(task(done=True, completed_at=LAST_SECOND, completed_at_is_day=True)),
        NEW_YORK,
    )
    known = TaskState(task=first.task, observed_at=START)
    assert completed(known, 90) == START
    assert first.task is not None
    yesterday = replace(first.task, completed_at=START - timedelta(days=1))
    assert completed(TaskState(task=yesterday, observed_at=START), 90) == START + timedelta(
        minutes=90
    )


def test_a_day_that_a_look_leaves_open_stays_a_day() -> None:
    """A date that cannot be read is what it was, with or without a time."""
    known = TaskState(task=task(due=START, due_is_day=True), observed_at=START)
    seen = with_known_fields(known, replace(look(task(), 1), untold=frozenset({"due"})))
    assert seen.task == task(due=START, due_is_day=True)
