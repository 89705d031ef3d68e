"""The search for tasks, and one task: its state, events, messages, and results of rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal
from zoneinfo import ZoneInfo

import asyncpg
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.model import Person, Task
from service.explain import Explanation, ExplanationStatus
from service.explain.wording import standing
from service.sources import assignable, completable
from service.store.operators import answers
from service.store.tasks import Key
from service.store.views import dashboard, known_people, task_search
from service.store.views.task_history import TaskHistory
from service.store.views.task_search import TaskPage
from service.web.parameters import cursor, is_text, read_parameters
from service.web.presenters import field_changes
from service.web.presenters.explanations import RuleCard, cards
from service.web.presenters.found_tasks import find_tasks
from service.web.problems import Problem
from service.web.screens import Screen

_LATEST = 100  # of the events of a task
_MOST_MESSAGES = 50


@dataclass(frozen=True, slots=True)
class _Record:
    """The history of a task, the results of the rules, and the last messages.

    `older` is the number of further messages.
    """

    papers: TaskHistory
    rules: Sequence[RuleCard]
    messages: Sequence[asyncpg.Record]
    older: int


class Tasks(Screen):
    """The search, and the screen of each task."""

    path, words, place = "/tasks", "Tasks", 4

    def routes(self) -> list[Route]:
        return [
            Route(self.path, self.office.shown(self.search)),
            Route(f"{self.path}/{{account}}/{{id:path}}", self.office.shown(self.show)),
        ]

    async def search(self, request: Request) -> Response:
        query = _filled(request.query_params)
        try:
            page = await self._found(query)
        except Problem as problem:
            return self._listed(request, query, TaskPage((), None), wrong=problem.detail)
        return self._listed(request, query, page)

    def _listed(
        self, request: Request, query: QueryParams, page: TaskPage, wrong: str = ""
    ) -> Response:
        asked = {name: query.get(name, "") for name in ("q", "account", "state")}
        response = self.render(
            request,
            "tasks.html",
            asked=asked,
            accounts=sorted(self.office.config.accounts),
            standings=task_search.STANDINGS,
            is_later="cursor" in query,
            page=page,
            next=cursor(page.next),
            wrong=wrong,
            said=field_changes.said,
        )
        response.status_code = HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.OK
        return response

    async def _found(self, query: QueryParams) -> TaskPage:
        """Raises a Problem that names the parameter that is wrong."""
        asked = read_parameters(query, task_search.TASKS)
        return await find_tasks(self.office.pool, asked)

    async def show(self, request: Request) -> Response:
        key: Key = request.path_params["account"], request.path_params["id"]
        record = await self._record(key) if all(map(is_text, key)) else None
        if record is None:
            response = self.render(request, "task_unknown.html", account=key[0], task=key[1])
            response.status_code = HTTPStatus.NOT_FOUND
            return response
        usual = self.office.config.timezone
        there = self._zone(key)
        return self.render(
            request,
            "task.html",
            there=there,
            key=key,
            papers=record.papers,
            task=record.papers.known.task,
            stands=_stands(record.papers),
            facts=field_changes.facts(record.papers.known.task, there, usual),
            events=[
                (one, field_changes.changes(one, there, usual))
                for one in reversed(record.papers.events[-_LATEST:])
            ],
            earlier=max(0, len(record.papers.events) - _LATEST),
            rules=record.rules,
            off=[one.id for one in self.office.config.off],
            messages=record.messages,
            older=record.older,
            people=await self._colleagues(record.papers.known.task),
            completing=await self._completing(record.papers.known.task),
            too_late="too_late" in request.query_params,
        )

    async def _colleagues(self, task: Task | None) -> Sequence[Person]:
        """To whom the task can be assigned."""
        if task is None or task.done or task.system not in assignable():
            return ()
        async with self.office.pool.acquire() as connection:
            return await known_people.read(connection, task.account)

    async def _completing(self, task: Task | None) -> Literal["", "possible", "under way"]:
        """Whether the task can be completed in its system now, or someone has asked for it."""
        if task is None or task.done or task.system not in completable():
            return ""
        async with self.office.pool.acquire() as connection:
            asked = await answers.asked_for(connection, (task.account, task.id), "complete_task")
        return "possible" if asked is None else "under way"

    def _zone(self, key: Key) -> ZoneInfo:
        return self.office.config.zones.get(key[0], self.office.config.timezone)

    async def _record(self, key: Key) -> _Record | None:
        pool = self.office.pool
        async with pool.acquire() as connection:
            if not await task_search.is_known(connection, key):
                return None
        papers, found = await self.office.explainer.explained(key)
        numbers = _messages(papers, found)
        messages = await dashboard.of_numbers(pool, numbers[-_MOST_MESSAGES:])
        shown = cards(found, papers, self._zone(key), self.office.config.timezone)
        return _Record(papers, shown, messages, max(0, len(numbers) - _MOST_MESSAGES))


def _filled(query: QueryParams) -> QueryParams:
    """The known parameters that are not empty; a form also sends its empty fields."""
    known = {*task_search.TASKS.filters, "limit", "cursor"}
    return QueryParams([(name, text) for name, text in query.items() if name in known and text])


def _messages(papers: TaskHistory, found: Sequence[Explanation]) -> list[int]:
    """The ids of the messages about a task: its own, and the combined ones that contain it."""
    combined = (
        one
        for each in found
        if each.standing is not ExplanationStatus.NO_TASK
        for one in each.deliveries
    )
    return sorted({one.id for one in (*papers.deliveries, *combined)})


def _stands(papers: TaskHistory) -> str:
    known = papers.known
    return "deleted" if known.deleted_at else standing(known.task)
