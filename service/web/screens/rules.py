"""Rules: what each of them says, whether it is on and by whom, and its last message."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.domain.overrides import Override
from service.rules.overrides import modes
from service.store.operators import rule_overrides
from service.store.views import rule_activity
from service.web.presenters.rule_texts import RuleText
from service.web.problems import Problem
from service.web.screens import Screen

_MOST_SWITCHES = 20


class Rules(Screen):
    """The rules of the configuration in use, and one of them by itself."""

    path, words, place = "/rules", "Rules", 5

    def routes(self) -> list[Route]:
        shown = self.office.shown
        return [Route("/rules", shown(self.show_all)), Route("/rules/{id:path}", shown(self.show))]

    async def show_all(self, request: Request) -> Response:
        overrides = await rule_overrides.read(self.office.pool)
        unused = {rule: one for rule, one in overrides.items() if rule not in self._rules}
        rules = list(self._rules.values())
        return await self._page(request, "Rules", rules, overrides, unused=sorted(unused.items()))

    async def show(self, request: Request) -> Response:
        rule = self._rules.get(request.path_params["id"])
        if rule is None:
            raise Problem(HTTPStatus.NOT_FOUND, "The configuration has no rule with this id")
        pool = self.office.pool
        overrides = await rule_overrides.read(pool)
        switches = await rule_overrides.history(pool, rule["id"], _MOST_SWITCHES)
        return await self._page(request, str(rule["id"]), [rule], overrides, switches=switches)

    async def _page(
        self,
        request: Request,
        title: str,
        rules: Sequence[Mapping[str, Any]],
        overrides: Mapping[str, Override],
        **more: Any,
    ) -> Response:
        last = await rule_activity.last_messages(self.office.pool, [one["id"] for one in rules])
        mode_of = modes(self.office.config.text, overrides)
        shown = [
            {
                "id": one["id"],
                "mode": mode_of[one["id"]],
                "text": self._texts[one["id"]],
                "last": last.get(one["id"]),
            }
            for one in rules
        ]
        too_late = "too_late" in request.query_params
        return self.render(
            request, "rules.html", title=title, rules=shown, too_late=too_late, **more
        )

    @cached_property
    def _rules(self) -> Mapping[str, Mapping[str, Any]]:
        """The rules as they are written, by their ids."""
        rules = orjson.loads(self.office.config.text).get("rules", [])
        return {one["id"]: one for one in rules}

    @cached_property
    def _texts(self) -> Mapping[str, RuleText]:
        return {name: RuleText.of(one) for name, one in self._rules.items()}
