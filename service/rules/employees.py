"""`notify: employee`: a message to the assignee of a task, sent by the account's own system."""

from service.domain.model import Task

EMPLOYEE = "employee"


def refusal(task: Task | None, channel: str) -> str | None:
    """Why no employee can be notified about this task; None if one can, or for other channels."""
    if channel != EMPLOYEE or task is None or task.assignee is not None or task.assignees:
        return None
    return "no recipient: no one is assigned to the task"
