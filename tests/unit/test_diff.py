"""What the diff says happened between two looks at a task."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from service.domain.diff import Transition, diff
from service.domain.model import Customer, Kind, Person, Project, Task
from service.domain.people import is_same
from tests.harness.tasks import ANN, BO, SMITH, START, task, tasks


def test_a_task_that_was_not_there_is_created() -> None:
    """The first look at an open task is one transition; one that is done was completed as well."""
    assert diff(None, task()) == [Transition(Kind.CREATED)]
    completed = Transition(Kind.COMPLETED, ("done",))
    assert diff(None, task(done=True)) == [Transition(Kind.CREATED), completed]


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


ALIKE: dict[str, tuple[Task, Task]] = {
    "another surname": (
        task(assignee=BO, assignees=(BO,)),
        task(assignee=replace(BO, name="Bo Jones"), assignees=(replace(BO, name="Bo Jones"),)),
    ),
    "a new address": (task(assignees=(BO,)), task(assignees=(replace(BO, email="b@y.test"),))),
    "another order": (
        task(assignee=BO, assignees=(BO, ANN)),
        task(assignee=ANN, assignees=(ANN, BO)),
    ),
    "somebody twice": (task(assignees=(BO,)), task(assignees=(BO, BO))),
    "an address in capitals": (
        task(assignee=Person(email="bo@x.test", name="Bo")),
        task(assignee=Person(email="Bo@X.test", name="Bo Reed")),
    ),
    "an id beside the address": (
        task(assignees=(Person(email="bo@x.test"), ANN)),
        task(assignees=(ANN, BO)),
    ),
    "a name alone": (task(assignee=Person(name="Bo")), task(assignee=Person(name=" bo "))),
    "a customer's new phone": (task(customer=SMITH), task(customer=replace(SMITH, phone="+1"))),
    "a customer's name": (task(customer=Customer(id=SMITH.id)), task(customer=SMITH)),
    "a customer who opts out": (
        task(customer=SMITH),
        task(customer=replace(SMITH, opted_out=True)),
    ),
    "a project's new name": (
        task(project=Project(id="9", name="Gutters")),
        task(project=Project(id="9", name="Gutters and roof")),
    ),
    "tags in another order": (task(tags=("a", "b")), task(tags=("b", "a"))),
    "choices in another order": (
        task(fields={"region": ["north", "east"]}),
        task(fields={"region": ["east", "north"]}),
    ),
    "the maker's new name": (task(fields={"creator": "Al"}), task(fields={"creator": "Al B."})),
}


@pytest.mark.parametrize("name", ALIKE)
def test_who_stays_the_same_is_no_event(name: str) -> None:
    """Details of people, and the order in which they and other things stand, are quiet."""
    before, after = ALIKE[name]
    assert diff(before, after) == []
    assert diff(after, before) == []


def test_a_day_is_the_same_whatever_it_comes_down_to() -> None:
    """A due day is unchanged if only `due_by`, the zone or the version of Taskbell changes."""
    night, old = task(due=START, due_is_day=True), task(due=START - timedelta(hours=12))
    assert diff(night, task(due=START - timedelta(hours=7), due_is_day=True)) == []
    assert diff(old, replace(night, revision=1)) == []
    moved = [Transition(Kind.RESCHEDULED, ("due",))]
    assert diff(night, task(due=START + timedelta(hours=23), due_is_day=True)) == moved
    assert diff(night, replace(old, revision=1)) == moved
    assert diff(old, night) == moved
    assert diff(old, replace(night, due=None, revision=1)) == moved


def test_somebody_else_is_an_event() -> None:
    """A different id is a different person, even with the same name."""
    namesake = replace(BO, id="9")
    team, less = task(assignee=BO, assignees=(BO, ANN)), task(assignee=BO, assignees=(BO,))
    assert diff(task(assignee=BO), task(assignee=namesake)) == [
        Transition(Kind.REASSIGNED, ("assignee",))
    ]
    assert diff(team, less) == [Transition(Kind.REASSIGNED, ("assignees",))]
    assert diff(less, task(assignee=ANN, assignees=(ANN,))) == [
        Transition(Kind.REASSIGNED, ("assignee", "assignees"))
    ]
    for customer in (Customer(id="c2", name="Smith"), None):
        changed = diff(task(customer=customer), task(customer=SMITH))
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
    if set(before.tags) == set(after.tags):
        changed -= {"tags"}
    if is_same(before.customer, after.customer):
        changed -= {"customer"}
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
