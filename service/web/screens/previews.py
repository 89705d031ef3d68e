"""What one rule would send about a task, as if its event came now. Nothing is sent."""

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.explain.contacts import held_back
from service.rules.overrides import modes
from service.rules.sample import sample
from service.store.operators import rule_overrides
from service.store.tasks import Key
from service.store.views import task_history, task_search
from service.store.views.task_history import TaskHistory
from service.web.parameters import is_text
from service.web.problems import Problem
from service.web.screens import Screen


class Previews(Screen):
    """The preview of a rule on the page of a task; also of a rule that is off."""

    path = "/tasks"

    def routes(self) -> list[Route]:
        return [Route("/previews", self.office.shown(self.show))]

    async def show(self, request: Request) -> Response:
        asked, config = request.query_params, self.office.config
        key, name = (asked.get("account", ""), asked.get("task", "")), asked.get("rule", "")
        papers, rule = await self._papers(key), config.of_rules.on_trial.get(name)
        if papers is None or papers.known.task is None or rule is None:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such task, or no such rule")
        zone, now = config.zones.get(key[0], config.timezone), self.office.clock.now()
        task = papers.known.task
        about = (rule, task, papers.events, now, zone, config.zones)
        shown = await asyncio.to_thread(sample, *about)
        async with self.office.pool.acquire() as connection:
            policy = config.rules.contacts
            held = await held_back(connection, policy, shown.event, shown.plans, zone, now)
        mode = modes(config.text, await rule_overrides.read(self.office.pool))[name].mode
        return self.render(
            request,
            "preview.html",
            key=key,
            rule=name,
            title=task.title or key[1],
            there=zone,
            mode=mode,
            shown=shown,
            messages=list(zip(shown.plans, held, strict=True)),
        )

    async def _papers(self, key: Key) -> TaskHistory | None:
        """The history of a task; None if it is not known."""
        if not all(map(is_text, key)):
            return None
        async with self.office.pool.acquire() as connection:
            if not await task_search.is_known(connection, key):
                return None
            return await task_history.read(connection, key)
