"""Rules: what each of them says, whether it is on and by whom, and what it did lately."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.operators.overrides import Override
from service.rules.overrides import modes
from service.store.operators import rule_overrides
from service.store.views import rule_activity
from service.web.office import Office
from service.web.presenters.rule_days import RuleDays
from service.web.presenters.rule_test_states import RuleTestStates
from service.web.presenters.rule_texts import RuleText
from service.web.problems import Problem
from service.web.screens import Screen

_MOST_SWITCHES = 20
_MOST_DECISIONS = 20


class Rules(Screen):
    """The rules of the configuration in use, and one of them by itself."""

    path, words, place = "/rules", "Rules", 5

    def __init__(self, office: Office) -> None:
        super().__init__(office)
        self._tests = RuleTestStates(office.config)
        self._known: dict[str, RuleText] = {}
        self._days = RuleDays(office.pool, office.clock, list(self._rules), office.config.timezone)

    def routes(self) -> list[Route]:
        shown = self.office.shown
        return [Route("/rules", shown(self.show_all)), Route("/rules/{id:path}", shown(self.show))]

    async def show_all(self, request: Request) -> Response:
        overrides = await rule_overrides.read(self.office.pool)
        unused = {rule: one for rule, one in overrides.items() if rule not in self._rules}
        return self.render(
            request,
            "rules.html",
            rules=await self._entries(list(self._rules), overrides),
            unused=sorted(unused.items()),
            too_late="too_late" in request.query_params,
        )

    async def show(self, request: Request) -> Response:
        rule = request.path_params["id"]
        if rule not in self._rules:
            raise Problem(HTTPStatus.NOT_FOUND, "The configuration has no rule with this id")
        pool = self.office.pool
        [entry] = await self._entries([rule], await rule_overrides.read(pool))
        return self.render(
            request,
            "rule.html",
            rule=entry,
            times=await rule_activity.last_times(pool, rule),
            decisions=await rule_activity.last_decisions(pool, rule, _MOST_DECISIONS),
            tests=await self._tests.of(rule),
            switches=await rule_overrides.history(pool, rule, _MOST_SWITCHES),
            too_late="too_late" in request.query_params,
        )

    async def _entries(
        self, rules: Sequence[str], overrides: Mapping[str, Override]
    ) -> list[dict[str, Any]]:
        """What the screens show of each of these rules."""
        last = await rule_activity.last_messages(self.office.pool, rules)
        plots = await self._days.plots()
        texts = await self._texts(rules)
        mode_of = modes(self.office.config.text, overrides)
        return [
            {
                "id": one,
                "mode": mode_of[one],
                "text": texts[one],
                "last": last.get(one),
                "plot": plots.get(one),
            }
            for one in rules
        ]

    async def _texts(self, rules: Sequence[str]) -> Mapping[str, RuleText]:
        """These rules in words and as they are written; each is computed once, in a thread."""
        missing = [self._rules[one] for one in rules if one not in self._known]
        if missing:
            found = await asyncio.to_thread(lambda: [RuleText.of(one) for one in missing])
            self._known |= {one.id: one for one in found}
        return self._known

    @cached_property
    def _rules(self) -> Mapping[str, Mapping[str, Any]]:
        """The rules as they are stored, by their ids."""
        rules = orjson.loads(self.office.config.text).get("rules", [])
        return {one["id"]: one for one in rules}
