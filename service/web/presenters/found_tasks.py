"""The search for tasks, as the page and the API ask for it."""

from service.store import Pool
from service.store.views import task_search
from service.store.views.task_search import TaskPage, TaskQuery
from service.web.parameters import ListQuery, wrong


async def find_tasks(pool: Pool, asked: ListQuery) -> TaskPage:
    """The tasks with these words; raises a 400 Problem for an invalid cursor."""
    values = asked.values
    wanted = TaskQuery(values.get("q", ""), values.get("account"), values.get("state"), asked.after)
    try:
        return await task_search.find(pool, wanted, asked.limit)
    except OverflowError:
        raise wrong("cursor", "the `next` of an earlier page") from None
