"""What the API works out when it is asked: what comes next, why, and which tasks have a word."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import islice

from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.clock import Clock
from service.config import Config
from service.diagnostics import did_you_mean
from service.domain.durations import parse_length
from service.domain.model import utc
from service.explain import Explanation
from service.explain.summary import as_json
from service.simulator.backtest import row_of
from service.store import Pool, decisions
from service.store.tasks import Key
from service.store.views import task_history, task_search
from service.store.views.listing import Listing
from service.web.api.answers import answer, page
from service.web.auth import Guard
from service.web.parameters import (
    ListQuery,
    cursor,
    demand_known,
    no_page,
    read_parameters,
    wrong,
)
from service.web.presenters.coming_up import Mark
from service.web.presenters.forecast import AHEAD, Forecast
from service.web.presenters.found_tasks import find_tasks
from service.web.presenters.task_explainer import TaskExplainer
from service.web.problems import Problem, come_again

NEXT = Listing("", "", key={"at": str, "source": int, "number": int}, filters={"within": ""})
"""The filter of what comes next, and its cursor; it is computed and no table."""

_DAY = "24h"
_PATIENCE = 4.0  # seconds
_MOST_NAMED = 10


class Computed:
    """The computed answers. They share their work with the page."""

    def __init__(
        self,
        pool: Pool,
        guard: Guard,
        config: Config,
        forecast: Forecast,
        explainer: TaskExplainer,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._guard = guard
        self._config = config
        self._forecast = forecast
        self._explainer = explainer
        self._clock = clock

    def routes(self) -> list[Route]:
        protects = self._guard.protects
        return [
            Route("/api/v1/next", protects(self._next)),
            Route("/api/v1/explain", protects(self._explain)),
            Route("/api/v1/search", protects(self._search)),
        ]

    async def _next(self, request: Request) -> Response:
        """What will be sent, and when, if nothing changes; `until` is how far it is known."""
        asked = read_parameters(request.query_params, NEXT)
        length, after = _length(asked.values.get("within", _DAY)), _mark(asked)
        known = await self._forecast.latest(_PATIENCE)
        if known is None:
            raise come_again(HTTPStatus.SERVICE_UNAVAILABLE, "This is still being calculated")
        until = min(self._clock.now() + length, known.until)
        rows = list(islice(known.sent_by(until, after), asked.limit + 1))
        at, *rest = rows[asked.limit - 1][0] if len(rows) > asked.limit else (None,)
        following = None if at is None else cursor((at.isoformat(), *rest))
        data = [row_of(one) for _, one in rows[: asked.limit]]
        return page(data, following, until=until)

    async def _explain(self, request: Request) -> Response:
        """Why each rule acted on a task or did not, with the values in its conditions."""
        query = request.query_params
        demand_known(query, {"account", "task", "rule"})
        key = await self._task(query.get("task", ""), query.get("account"))
        papers, results = await self._explainer.explained(key)
        shown = _of_rule(results, query.get("rule"))
        loaded = await decisions.rules_in_force(self._pool)
        is_loaded = loaded is None or loaded[0] == self._config.rules.version
        return answer(as_json(papers, shown, is_loaded=is_loaded))

    async def _task(self, named: str, account: str | None) -> Key:
        """The task of this id or title; raises a Problem unless it is exactly one."""
        if not named:
            raise wrong("task", "the id or the title of a task, as GET /api/v1/search finds it")
        async with self._pool.acquire() as connection:
            tasks = await task_history.find(connection, named, account)
        if not tasks:
            if account is not None:
                self._demand_account(account)
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "No task has this id or title. GET /api/v1/search?q=… finds tasks by their words",
            )
        if len(tasks) > 1:
            names = ", ".join(f"{number} in {name}" for name, number, _ in tasks[:_MOST_NAMED])
            several = (
                f"one of the {len(tasks)} tasks with this name, by its id and account: {names}"
            )
            raise wrong("task", several)
        [(name, number, _)] = tasks
        return name, number

    def _demand_account(self, name: str) -> None:
        """Raise a 404 Problem if the configuration has no account of this name."""
        if name not in self._config.accounts:
            known = ", ".join(sorted(self._config.accounts))
            why = f"There is no account with this name; the configuration has: {known}"
            raise Problem(HTTPStatus.NOT_FOUND, why, parameter="account")

    async def _search(self, request: Request) -> Response:
        """Tasks by the beginnings of words; the last observed come first."""
        asked = read_parameters(request.query_params, task_search.TASKS)
        values = asked.values
        if "account" in values:
            self._demand_account(values["account"])
        tasks = await find_tasks(self._pool, asked)
        return page([one.summary for one in tasks.tasks], cursor(tasks.next))


def _length(text: str) -> timedelta:
    try:
        length = parse_length(text)
    except PydanticCustomError:
        length = timedelta()
    if not timedelta() < length <= AHEAD:
        raise wrong("within", f"a duration of up to {AHEAD.days}d, such as 24h")
    return length


def _mark(asked: ListQuery) -> Mark | None:
    if asked.after is None:
        return None
    at, source, number = asked.after
    try:
        return utc(datetime.fromisoformat(str(at))), int(source), int(number)
    except (ValueError, OverflowError):
        raise no_page() from None


def _of_rule(results: Sequence[Explanation], rule: str | None) -> Sequence[Explanation]:
    names = [one.rule for one in results]
    if rule is None:
        return results
    if rule not in names:
        hint = did_you_mean(rule, names) or "GET /api/v1/rules lists them"
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no rule with this id; {hint}")
    return [one for one in results if one.rule == rule]
