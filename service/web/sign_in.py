"""Login with the admin token, and logout."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.web.office import Office
from service.web.pages import read_form
from service.web.problems import Problem

_WRONG = "Wrong admin token. Ask your developer (it is the value of TASKBELL_ADMIN_TOKEN)."
_ENDED = "Your session has ended. Sign in again."


class SignIn:
    """The login form, if there is a token."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._guard = office.guard

    def routes(self) -> list[Route]:
        return [
            Route("/login", self.ask_token),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/logout", self._office.shown(self.log_out), methods=["POST"]),
        ]

    async def ask_token(self, request: Request) -> Response:
        wrong = _ENDED if "ended" in request.query_params else None
        return self._office.render("login.html", wrong=wrong)

    async def log_in(self, request: Request) -> Response:
        self._guard.admit_by_link(request)
        form = await read_form(request)
        return await self._office.unless_away(self._log_in(request, form.get("token", "")))

    async def _log_in(self, request: Request, token: str) -> Response:
        welcome = self._office.pages.redirect("/")
        try:
            if await self._guard.begin_session(request, token, welcome):
                return welcome
        except Problem as problem:
            page = self._office.render("login.html", problem.status_code, wrong=problem.detail)
            page.headers.update(problem.headers or {})
            return page
        return self._office.render("login.html", HTTPStatus.UNAUTHORIZED, wrong=_WRONG)

    async def log_out(self, request: Request) -> Response:
        goodbye = self._office.pages.redirect("/login")
        await self._guard.end_session(request, goodbye)
        return goodbye
