"""The search for tasks, as the page and the API ask for it, and what the API tells of one."""

from typing import Any

from service.store import Pool
from service.store.views import task_search
from service.store.views.task_search import FoundTask, TaskPage, TaskQuery
from service.web.parameters import ListQuery, wrong


async def find_tasks(pool: Pool, asked: ListQuery) -> TaskPage:
    """The tasks with these words; raises a 400 Problem for a cursor that is none."""
    values = asked.values
    wanted = TaskQuery(values.get("q", ""), values.get("account"), values.get("state"), asked.after)
    try:
        return await task_search.find(pool, wanted, asked.limit)
    except OverflowError:
        raise wrong("cursor", "what an earlier page gave as next") from None


def summary_of(found: FoundTask) -> dict[str, Any]:
    """The fields by which a person recognises a task, and its state."""
    task = found.task
    return {
        "account": task.account,
        "id": task.id,
        "title": task.title,
        "state": found.standing,
        "customer": task.customer,
        "assignee": task.assignee,
        "due": task.due,
        "url": task.url,
        "seen_at": found.seen_at,
    }
