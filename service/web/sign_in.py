"""Login with a name and a password, or with the admin token; and logout."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from service.domain.actors import Actor, Role
from service.web.office import Office
from service.web.pages import read_form
from service.web.problems import Problem

_WRONG = "Wrong admin token. Ask your developer (it is the value of TASKBELL_ADMIN_TOKEN)."
_NO_SUCH_USER = "Wrong name or password. If you have forgotten it, ask your developer."
_ENDED = "Your session has ended. Sign in again."


class SignIn:
    """The login form, if there are users or a token."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._guard = office.guard

    def routes(self) -> list[Route]:
        return [
            Route("/login", self.ask),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/logout", self._office.shown(self.log_out, Role.VIEWER), methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        return self._form({}, wrong=_ENDED if "ended" in request.query_params else None)

    async def log_in(self, request: Request) -> Response:
        self._guard.admit_by_link(request)
        form = await read_form(request)
        return await self._office.unless_away(self._log_in(request, form))

    async def _log_in(self, request: Request, form: Mapping[str, str]) -> Response:
        welcome = self._office.pages.redirect("/")
        try:
            actor = await self._recognized(request, form)
        except Problem as problem:
            page = self._form(form, problem.status_code, wrong=problem.detail)
            page.headers.update(problem.headers or {})
            return page
        if actor is None:
            wrong = _WRONG if "token" in form else _NO_SUCH_USER
            return self._form(form, HTTPStatus.UNAUTHORIZED, wrong=wrong)
        await self._guard.begin_session(request, actor, welcome)
        return welcome

    async def _recognized(self, request: Request, form: Mapping[str, str]) -> Actor | None:
        if "token" in form:
            return await self._guard.sign_in_by_token(request, form["token"])
        name, password = form.get("name", ""), form.get("password", "")
        return await self._guard.sign_in_by_password(request, name, password)

    def _form(
        self, form: Mapping[str, str], status: int = HTTPStatus.OK, *, wrong: str | None
    ) -> HTMLResponse:
        return self._office.render(
            "login.html",
            status,
            wrong=wrong,
            by_token="token" in form or not self._guard.has_users,
            has_users=self._guard.has_users,
            has_token=self._guard.has_token,
        )

    async def log_out(self, request: Request) -> Response:
        goodbye = self._office.pages.redirect("/login")
        await self._guard.end_session(request, goodbye)
        return goodbye
