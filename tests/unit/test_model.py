"""Tasks survive the way into the database and back."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given

from service.domain.model import Customer, Person, Project, Task
from tests.harness.tasks import tasks


@given(tasks)
def test_a_task_read_back_equals_the_task_written(task: Task) -> None:
    """Nothing is lost or changed by writing a snapshot and reading it again."""
    assert Task.from_json(task.to_json()) == task


@pytest.mark.parametrize(
    "name", [field.name for field in fields(Task) if field.default is not MISSING]
)
def test_a_snapshot_of_an_older_version_is_read(name: str) -> None:
    """A field that was added since a task was stored has its default."""
    stored = orjson.loads(Task("T1", "field", "kickserv").to_json())
    del stored[name]
    assert getattr(Task.from_dict(stored), name) == getattr(Task("T1", "field", "kickserv"), name)


@dataclass(frozen=True, slots=True)
class LaterTask(Task):
    """A task of a later version, which has one more field of each type."""

    promised: datetime | None = None
    foreman: Person | None = None
    payer: Customer | None = None
    contract: Project | None = None
    crew: tuple[Person, ...] = ()
    skills: tuple[str, ...] = ()
    note: str | None = None
    rooms: int = 0
    is_urgent: bool = False
    prices: Mapping[str, Any] = field(default_factory=dict)


def test_a_field_of_any_type_can_be_added() -> None:
    """What was stored before has the default of it; what is stored with it is read again."""
    stored = Task("T1", "field", "kickserv").to_json()
    assert LaterTask.from_json(stored) == LaterTask("T1", "field", "kickserv")
    later = LaterTask(
        *("T1", "field", "kickserv"),
        promised=datetime(2026, 3, 6, 12, tzinfo=UTC),
        foreman=Person("7", name="Bo"),
        payer=Customer("c1", opted_out=True),
        contract=Project("p1"),
        crew=(Person("7"), Person("8")),
        skills=("roof", "gutter"),
        note="bring nails",
        rooms=3,
        is_urgent=True,
        prices={"hour": 60},
    )
    assert LaterTask.from_json(later.to_json()) == later


def test_a_snapshot_of_a_newer_version_is_read() -> None:
    """While old and new processes run side by side, what only the new ones know is left out."""
    task = Task("T1", "field", "kickserv", assignee=Person("7"), assignees=(Person("7"),))
    stored = orjson.loads(task.to_json()) | {"novelty": 1}
    stored["assignee"]["novelty"] = stored["assignees"][0]["novelty"] = [2]
    assert Task.from_dict(stored) == task
