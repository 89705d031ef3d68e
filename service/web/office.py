"""Common parts of all office screens: their resources, and the frame around them."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from service.clock import Clock
from service.config import Config
from service.diagnostics import Diagnostic
from service.domain.actors import Actor, Role
from service.doorbell import Doorbell
from service.store import DATABASE_ERRORS, Pool
from service.web.actions import OperatorActions
from service.web.auth import Endpoint, Guard
from service.web.pages import Pages
from service.web.presenters.forecast import Forecast
from service.web.presenters.task_explainer import TaskExplainer
from service.web.problems import RETRY_AFTER, Problem

log = structlog.get_logger()

_PATIENCE = 5.0  # seconds, with a database that does not answer


@dataclass(frozen=True, slots=True)
class Editing:
    """What the rule editor works on: the file or folder at `path`, with the values of `environ`.

    `saves`: the operator allows it to change these files.
    """

    path: Path = Path("taskbell.yaml")
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    saves: bool = False


@dataclass(frozen=True)
class Office:
    """The resources of one web process that its screens need.

    `faults` are the errors that keep a changed configuration from being activated. `sections` are
    the screens in the navigation: words and path.
    `inbox` is the address of the sandbox's inbox, if Taskbell runs with it. `forecast` and
    `explainer` are those of the API, too.
    """

    pool: Pool
    clock: Clock
    guard: Guard
    actions: OperatorActions
    config: Config
    doorbell: Doorbell
    pages: Pages
    forecast: Forecast
    explainer: TaskExplainer
    faults: Sequence[Diagnostic] = ()
    sections: Sequence[tuple[str, str]] = ()
    inbox: str | None = None
    editing: Editing = Editing()

    def render(
        self,
        template: str,
        status: int = HTTPStatus.OK,
        *,
        path: str = "",
        actor: Actor | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A page in the frame; `path` is the section that it belongs to.

        It has buttons if the `actor` who asks for it may decide; whoever may edit finds the editor.
        """
        frame = {
            "now": self.clock.now(),
            "zone": self.config.timezone,
            "zones": self.config.zones,
            "sections": self.sections,
            "section": path,
            "actor": actor,
            "may_act": actor is not None and actor.role.includes(Role.OPERATOR),
            "may_edit": actor is not None and actor.role.includes(Role.ADMIN),
            "has_login": self.guard.has_login,
        }
        return self.pages.render(template, status, **{**frame, **values})

    def shown(self, endpoint: Endpoint, needs: Role | None = None) -> Endpoint:
        """The endpoint of a screen, for logged-in users; others are redirected to the login.

        `needs` is the role for it, if it is not the usual one (see `Guard`).

        If the database is unavailable, it shows a page that says so.
        """

        async def admitted(request: Request) -> Response:
            try:
                await self.guard.admit(request, needs)
            except Problem as problem:
                if problem.status_code != HTTPStatus.UNAUTHORIZED:
                    raise
                return self.pages.redirect("/login")
            return await endpoint(request)

        async def answered(request: Request) -> Response:
            return await self.unless_away(admitted(request))

        return self.pages.for_people(answered)

    async def unless_away(self, answer: Coroutine[Any, Any, Response]) -> Response:
        """The response, or an error page if the database is unavailable."""
        asked = asyncio.create_task(answer)
        try:
            # Shielded, as a connection cannot be given back before its database answers.
            return await asyncio.wait_for(asyncio.shield(asked), _PATIENCE)
        except DATABASE_ERRORS as error:
            asked.cancel()
            log.warning("database.failed", path="/", kind=type(error).__name__)
            seconds = int(RETRY_AFTER.total_seconds())
            page = self.pages.render("away.html", seconds=seconds)
            page.status_code = HTTPStatus.SERVICE_UNAVAILABLE
            page.headers["Retry-After"] = str(seconds)
            return page
