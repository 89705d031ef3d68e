"""Tasks survive the way into the database and back."""

from dataclasses import MISSING, fields

import orjson
import pytest
from hypothesis import given

from service.domain.model import Person, Task
from tests.tasks import tasks


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


def test_a_snapshot_of_a_newer_version_is_read() -> None:
    """While old and new processes run side by side, what only the new ones know is left out."""
    task = Task("T1", "field", "kickserv", assignee=Person("7"), assignees=(Person("7"),))
    stored = orjson.loads(task.to_json()) | {"novelty": 1}
    stored["assignee"]["novelty"] = stored["assignees"][0]["novelty"] = [2]
    assert Task.from_dict(stored) == task
