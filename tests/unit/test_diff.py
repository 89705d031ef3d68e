"""What the diff says happened between two looks at a task."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given

from service.diff import Transition, diff
from service.model import Customer, Kind, Task
from tests.tasks import ANN, BO, SMITH, START, task, tasks


def test_a_task_that_was_not_there_is_created() -> None:
    """The first look at a task is one transition, whatever the task says."""
    assert diff(None, task(done=True)) == [Transition(Kind.CREATED)]


def test_a_task_that_is_gone_is_deleted() -> None:
    """A task that is there no more is one transition."""
    assert diff(task(), None) == [Transition(Kind.DELETED)]


def test_a_task_that_was_deleted_is_restored() -> None:
    """It is not new, and done again only if it was open when it was lost."""
    restored = Transition(Kind.RESTORED)
    assert diff(None, task(title="Jones"), lost=task()) == [restored]
    assert diff(None, task(done=True), lost=task(done=True)) == [restored]
    assert diff(None, task(), lost=task(done=True)) == [restored]
    completed = Transition(Kind.COMPLETED, ("done",))
    assert diff(None, task(done=True), lost=task()) == [restored, completed]


def test_nothing_then_nothing_is_nothing() -> None:
    """A task that nobody knows and that is not there has no history."""
    assert diff(None, None) == []


def test_completing_covers_the_status_name_that_goes_with_it() -> None:
    """Done and its status name are one transition, not two."""
    before, after = task(status="Open"), task(status="Finished", done=True)
    assert diff(before, after) == [Transition(Kind.COMPLETED, ("done", "status"))]


def test_completing_covers_that_the_new_status_is_archived() -> None:
    """Where "Filed away" means done, finishing a task is one transition."""
    before, after = task(not_started=True), task(archived=True, done=True, completed_by=BO)
    assert diff(before, after) == [Transition(Kind.COMPLETED, ("done", "archived"))]


def test_putting_away_is_a_change() -> None:
    """An open task that is archived was changed, not finished."""
    before, after = task(status="Open"), task(status="Filed", archived=True)
    assert diff(before, after) == [Transition(Kind.CHANGED, ("status", "archived"))]


def test_reopening_is_the_reverse() -> None:
    """A task that is no longer done is reopened."""
    assert diff(task(done=True), task()) == [Transition(Kind.REOPENED, ("done",))]


def test_a_status_name_alone_is_a_change() -> None:
    """A firm that renames a status has finished nothing."""
    assert diff(task(status="a"), task(status="b")) == [Transition(Kind.CHANGED, ("status",))]


def test_several_things_at_once_are_one_transition_each() -> None:
    """Moved, handed over and retitled in one look: three kinds, in a fixed order."""
    before = task(due=START, assignee=BO)
    after = task(due=START + timedelta(days=1), assignee=ANN, title="Jones gutters")
    assert diff(before, after) == [
        Transition(Kind.RESCHEDULED, ("due",)),
        Transition(Kind.REASSIGNED, ("assignee",)),
        Transition(Kind.CHANGED, ("title",)),
    ]


def test_a_customer_whose_name_becomes_known_is_no_change() -> None:
    """Who it is was known; another one, or one whose name changes, is a change."""
    unnamed, renamed = Customer(id=SMITH.id), replace(SMITH, name="Smith-Jones")
    assert diff(task(customer=unnamed), task(customer=SMITH)) == []
    for before in (Customer(id="c2"), renamed, None):
        changed = diff(task(customer=before), task(customer=SMITH))
        assert changed == [Transition(Kind.CHANGED, ("customer",))]


@given(tasks)
def test_the_same_task_twice_is_no_event(one: Task) -> None:
    """A second look at an unchanged task says nothing."""
    assert diff(one, one) == []


@given(tasks, tasks)
def test_every_changed_field_is_in_exactly_one_transition(before: Task, after: Task) -> None:
    """No change is announced twice and none is swallowed."""
    covered = [name for one in diff(before, after) for name in one.changed]
    silent = {"updated_at", "created_at", "completed_at", "completed_by", "url"}
    changed = {
        name
        for name in Task.__dataclass_fields__
        if name not in silent and getattr(before, name) != getattr(after, name)
    }
    assert len(covered) == len(set(covered))
    assert set(covered) == changed


@given(tasks, tasks)
def test_what_was_done_and_undone_leaves_nothing(before: Task, after: Task) -> None:
    """There and back again: the way back mentions the same fields."""
    there = {name for one in diff(before, after) for name in one.changed}
    back = {name for one in diff(after, before) for name in one.changed}
    assert there == back


@given(tasks)
def test_a_newer_stamp_alone_is_no_event(one: Task) -> None:
    """The system touched the record and nothing that anybody would notice."""
    assert diff(one, replace(one, updated_at=START + timedelta(days=9))) == []
