"""A rule test that is made of what happened to a task: to copy, or to download."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.store.tasks import Key
from service.store.views import task_history, task_search
from service.store.views.task_history import TaskHistory
from service.web.office import Office
from service.web.parameters import is_text
from service.web.presenters.made_tests import MadeTests, NotMadeError
from service.web.problems import Problem
from service.web.screens import Screen

_TYPE = "application/yaml"


class RuleTests(Screen):
    """The test of one rule on one task. It is made anew for everybody who asks."""

    path = "/tasks"

    def __init__(self, office: Office) -> None:
        super().__init__(office)
        self._made = MadeTests(office.config, office.clock)

    def routes(self) -> list[Route]:
        return [Route("/rule-tests", self.office.shown(self.show))]

    async def show(self, request: Request) -> Response:
        asked = request.query_params
        key, rule = (asked.get("account", ""), asked.get("task", "")), asked.get("rule", "")
        papers = await self._papers(key)
        if papers is None or not self.office.config.has_rule(rule):
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such task, or no such rule")
        text = why_not = ""
        try:
            text = await self._made.of(papers, rule)
        except NotMadeError as error:
            why_not = str(error)
        if text and "download" in asked:
            headers = {"Content-Disposition": f'attachment; filename="{rule}-test.yaml"'}
            return PlainTextResponse(text, headers=headers, media_type=_TYPE)
        task = papers.known.task
        title = (task.title if task else "") or key[1]
        return self.render(
            request, "rule_test.html", key=key, rule=rule, title=title, text=text, why_not=why_not
        )

    async def _papers(self, key: Key) -> TaskHistory | None:
        if not all(map(is_text, key)):
            return None
        async with self.office.pool.acquire() as connection:
            if not await task_search.is_known(connection, key):
                return None
            return await task_history.read(connection, key)
