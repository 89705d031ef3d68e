"""Trying a rule on the last 30 days: how far it is, and what the rule would have done."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.web.auth import actor_of
from service.web.office import Office
from service.web.presenters.rule_backtests import LIMIT, MOST_SHOWN, RuleBacktests
from service.web.problems import Problem
from service.web.screens import Screen


class Backtests(Screen):
    """The backtest of one rule; it is started by a button, and nothing is sent."""

    path = "/rules"

    def __init__(self, office: Office) -> None:
        super().__init__(office)
        self._backtests = RuleBacktests(office.pool, office.clock, office.config)

    def routes(self) -> list[Route]:
        shown = self.office.shown
        return [
            Route("/backtests/{id}", shown(self.show)),
            Route("/backtests/{id}", shown(self.start), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        rule = self._rule(request)
        one, running = await self._backtests.of(rule), self._backtests.running
        return self.render(
            request,
            "backtest.html",
            rule=rule,
            one=one,
            busy=running if running != rule else None,
            limit=int(LIMIT),
            most=MOST_SHOWN,
        )

    async def start(self, request: Request) -> Response:
        rule = self._rule(request)
        await self._backtests.start(rule, actor_of(request))
        return self.office.pages.redirect(f"/backtests/{rule}")

    def _rule(self, request: Request) -> str:
        """The id of the rule that is asked for; a 404 Problem if there is none."""
        rule: str = request.path_params["id"]
        if not self.office.config.has_rule(rule):
            raise Problem(HTTPStatus.NOT_FOUND, "The configuration has no rule with this id")
        return rule
