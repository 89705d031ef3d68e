"""`notify: employee`: the account's system tells whoever is assigned to a task, if anybody is."""

from service.domain.model import Task

EMPLOYEE = "employee"


def refusal(task: Task | None, channel: str) -> str | None:
    """Why nobody can be told about this task; None if somebody can, or by another channel."""
    if channel != EMPLOYEE or task is None or task.assignee is not None or task.assignees:
        return None
    return "no recipient: no one is assigned to the task"
