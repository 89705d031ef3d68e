"""The accounts in the API: their state, and what can be done with them."""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.clock import Clock
from service.diagnostics import did_you_mean
from service.store import Pool
from service.store.views import api_lists, listing
from service.web.actions import ACCOUNT_ACTIONS, OperatorActions
from service.web.api.answers import answer, by_id, found, page, said
from service.web.auth import Guard, actor_of
from service.web.parameters import demand_choice, filtered
from service.web.problems import Problem


class Accounts:
    """The accounts of the active configuration, which have these `names`."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        guard: Guard,
        actions: OperatorActions,
        names: Sequence[str],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._guard = guard
        self._actions = actions
        self._names = names

    def routes(self) -> list[Route]:
        protects = self._guard.protects
        return [
            Route("/api/v1/accounts", protects(self._all)),
            Route("/api/v1/accounts/{id}", protects(self._one)),
            *(
                Route(
                    f"/api/v1/accounts/{{id}}/{action}",
                    protects(partial(self._act, action)),
                    methods=["POST"],
                )
                for action in ACCOUNT_ACTIONS
            ),
        ]

    async def _all(self, request: Request) -> Response:
        rows = await self._states()
        query = request.query_params
        if "state" in query:
            demand_choice("state", query["state"], api_lists.ACCOUNT_STATES)
        return page(filtered(query, rows, {"account": "id", "state": "state"}), None)

    async def _one(self, request: Request) -> Response:
        return answer(found(by_id(await self._states(), request.path_params["id"])))

    async def _act(self, action: str, request: Request) -> Response:
        """Pause or resume an account, or have all its tasks read, and return it."""
        body = await said(request) if action == "sync" else {}
        name = request.path_params["id"]
        if name not in self._names:
            hint = did_you_mean(name, self._names) or "GET /api/v1/accounts lists them"
            raise Problem(HTTPStatus.NOT_FOUND, f"There is no account with this name; {hint}")
        await self._actions.act_on_account(action, name, body, actor_of(request))
        return await self._one(request)

    async def _states(self) -> list[listing.Row]:
        return await api_lists.read_accounts(self._pool, self._clock.now(), self._names)
