"""The operator page: what was sent and why, what waits, what needs attention."""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from service.clock import Clock
from service.config import Config
from service.diagnostics import Diagnostic
from service.doorbell import Doorbell
from service.outbox import silences, storms
from service.store import DATABASE_ERRORS, Pool, dead_letters
from service.store.views import api_lists, dashboard
from service.web.actions import (
    DELIVERY_ACTIONS,
    STORM_ACTIONS,
    WEBHOOK_ACTIONS,
    OperatorActions,
    action_routes,
)
from service.web.auth import Endpoint, Guard
from service.web.pages import Pages, read_form
from service.web.problems import RETRY_AFTER, Problem

log = structlog.get_logger()

_SHOWN = 25
_FEW = 8  # of the messages that wait for one decision
_PATIENCE = 5.0  # seconds, with a database that does not answer
# All who sign in have the one token: who of them it was, nobody can say.
_BY = "someone on the Taskbell page"
_WRONG = (
    "Wrong admin token. Ask the person who set up Taskbell"
    " (it is the value of TASKBELL_ADMIN_TOKEN)."
)
_ENDED = "Your session has ended. Sign in again."


class OperatorPage:
    """One page for the office, with a form for the token where there is one."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        guard: Guard,
        actions: OperatorActions,
        config: Config,
        doorbell: Doorbell,
        pages: Pages,
        faults: Sequence[Diagnostic] = (),
    ) -> None:
        self._pool = pool
        self._doorbell = doorbell
        self._clock = clock
        self._guard = guard
        self._actions = actions
        self._config = config
        self._faults = faults
        self._pages = pages

    def routes(self) -> list[Route | Mount]:
        return [
            Route("/", self.show),
            Route("/login", self.ask_token),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/logout", self._protected(self.log_out), methods=["POST"]),
            *action_routes(self._protected, "/deliveries", self.decide, DELIVERY_ACTIONS),
            *action_routes(self._protected, "/webhooks", self.decide_on_webhook, WEBHOOK_ACTIONS),
            *action_routes(self._protected, "/storms", self.end_storm, STORM_ACTIONS),
            Route(
                "/silences/{id:number}/expire", self._protected(self.end_silence), methods=["POST"]
            ),
            Mount("/static", StaticFiles(packages=[("service.web", "static")])),
        ]

    async def show(self, request: Request) -> Response:
        return await self._unless_away(self._show(request))

    async def ask_token(self, request: Request) -> Response:
        wrong = _ENDED if "ended" in request.query_params else None
        return self._render("login.html", wrong=wrong)

    async def log_in(self, request: Request) -> Response:
        self._guard.admit_by_link(request)
        form = await read_form(request)
        return await self._unless_away(self._log_in(request, form.get("token", "")))

    async def log_out(self, request: Request) -> Response:
        return await self._unless_away(self._log_out(request))

    async def decide(self, action: str, request: Request) -> Response:
        """A button of the page; the page is shown again with what came of it."""
        form = await read_form(request)
        said: dict[str, Any] = {}
        if "arrived" in form:
            said["arrived"] = form["arrived"] == "yes"
        if form.get("attempts", "")[:9].isdecimal():
            said["attempts"] = int(form["attempts"][:9])
        done = self._actions.act(action, request.path_params["id"], said, _BY)
        return await self._unless_away(self._decided(done))

    async def decide_on_webhook(self, action: str, request: Request) -> Response:
        """A button beside a webhook that nobody could read."""
        done = self._actions.act_on_webhook(action, request.path_params["id"], _BY)
        return await self._unless_away(self._decided(done))

    async def end_storm(self, action: str, request: Request) -> Response:
        """A button beside what the storm guard holds."""
        ended = self._actions.end_storm(action, request.path_params["id"], _BY)
        return await self._unless_away(self._decided(ended))

    async def end_silence(self, request: Request) -> Response:
        """The button beside a silence."""
        ended = self._actions.end_silence(request.path_params["id"])
        return await self._unless_away(self._decided(ended))

    def _protected(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint for those who are signed in; a browser that is not is led to the login."""
        return self._pages.for_people(self._guard.protects(endpoint))

    async def _show(self, request: Request) -> Response:
        try:
            await self._guard.admit(request)
        except Problem as problem:
            if problem.status_code != HTTPStatus.UNAUTHORIZED:
                raise
            return self._pages.redirect("/login")
        too_late = "too_late" in request.query_params
        return self._render("overview.html", too_late=too_late, **await self._overview())

    async def _log_in(self, request: Request, token: str) -> Response:
        welcome = self._pages.redirect("/")
        try:
            if await self._guard.begin_session(request, token, welcome):
                return welcome
        except Problem as problem:
            page = self._render("login.html", problem.status_code, wrong=problem.detail)
            page.headers.update(problem.headers or {})
            return page
        return self._render("login.html", HTTPStatus.UNAUTHORIZED, wrong=_WRONG)

    async def _log_out(self, request: Request) -> Response:
        goodbye = self._pages.redirect("/login")
        await self._guard.end_session(request, goodbye)
        return goodbye

    async def _overview(self) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "now": now,
            "most": _SHOWN,
            "has_worker": await self._doorbell.has_worker(),
            "faults": [fault.in_a_line for fault in self._faults],
            "zone": self._config.timezone,
            "zones": self._config.zones,
            "trouble": await dashboard.failed_deliveries(self._pool, _SHOWN),
            "set_aside": await dead_letters.asking(self._pool, _SHOWN),
            "asking": await dashboard.asking(self._pool, _SHOWN),
            "waiting": await dashboard.waiting(self._pool, _SHOWN),
            "lately": await dashboard.lately(self._pool, _SHOWN),
            "storms": await self._storms(),
            "silences": await silences.read(self._pool, now),
            "events": await dashboard.last_events(self._pool, _SHOWN),
            "accounts": await api_lists.read_accounts(self._pool, now, list(self._config.accounts)),
        }

    async def _storms(self) -> list[dict[str, Any]]:
        """Those that are shown with the first of the messages that they hold."""
        found = await storms.read(self._pool)
        shown = [
            {**storm, "messages": await dashboard.held(self._pool, storm["id"], _FEW)}
            for storm in found[:_SHOWN]
        ]
        return [*shown, *found[_SHOWN:]]

    async def _unless_away(self, answer: Coroutine[Any, Any, Response]) -> Response:
        """The answer, or a page for people that says that the database is away."""
        asked = asyncio.create_task(answer)
        try:
            # Shielded, as a connection cannot be given back before its database answers.
            return await asyncio.wait_for(asyncio.shield(asked), _PATIENCE)
        except DATABASE_ERRORS as error:
            asked.cancel()
            log.warning("database.failed", path="/", kind=type(error).__name__)
            seconds = int(RETRY_AFTER.total_seconds())
            page = self._render("away.html", HTTPStatus.SERVICE_UNAVAILABLE, seconds=seconds)
            page.headers["Retry-After"] = str(seconds)
            return page

    async def _decided(self, action: Awaitable[None]) -> Response:
        """Back to the page; it says so where somebody else had decided before."""
        try:
            await action
        except Problem as problem:
            if problem.status_code != HTTPStatus.CONFLICT:
                raise
            return self._pages.redirect("/?too_late")
        return self._pages.redirect("/")

    def _render(self, template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
        return self._pages.render(template, status, has_login=self._guard.has_token, **values)
