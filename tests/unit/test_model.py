"""Tasks survive the way into the database and back."""

from hypothesis import given

from service.model import Task
from tests.tasks import tasks


@given(tasks)
def test_a_task_read_back_equals_the_task_written(task: Task) -> None:
    """Nothing is lost or changed by writing a snapshot and reading it again."""
    assert Task.from_json(task.to_json()) == task
