"""Common parts of all pages for people: headers, templates, forms and errors."""

from http import HTTPStatus
from inspect import isawaitable
from typing import Any
from urllib.parse import parse_qs

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import HTTPExceptionHandler

from service.document.writing_direction import contained
from service.domain.operators.buttons import NO_RULES
from service.domain.operators.silences import described
from service.domain.system_actions import UNSEEN_TEXT
from service.explain import account_advice, account_status
from service.explain.delivery_advice import cause_of
from service.sources import title_of
from service.web import labels
from service.web.auth import Endpoint
from service.web.presenters.customer_messages import can_be_stopped
from service.web.problems import LastResponse, Problem
from service.web.request_body import read_body

_FORM_BYTES = 16 * 1024  # a reason of 500 letters, each of which may be nine bytes there
_FORM_FIELDS = 20
# What a person meets who only follows a link or presses a button.
_MET_BY_PEOPLE = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
    }
)
_PLAINLY = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address belongs to a button and cannot be opened",
}
_KEPT = ("Allow", "Retry-After", "WWW-Authenticate")  # of an error's headers
_LONGEST = 1_000  # characters of one value on a page
# Nothing on a page comes from elsewhere, and nothing in it may run but our own script.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Pages:
    """The templates; `root` is the prefix of all our paths."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._templates = Environment(
            loader=PackageLoader("service.web"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_contained,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["root"] = root
        self._templates.globals["words"] = labels
        self._templates.globals["account_advice"] = account_advice
        self._templates.globals["account_status"] = account_status
        self._templates.globals["cause_of"] = cause_of
        self._templates.globals["can_be_stopped"] = can_be_stopped
        self._templates.globals["covered"] = described
        self._templates.globals["no_rules"] = NO_RULES
        self._templates.globals["title_of"] = title_of
        self._templates.globals["unseen_text"] = UNSEEN_TEXT
        self._templates.filters["whole"] = _whole

    def redirect(self, path: str) -> RedirectResponse:
        """Redirect to another page of ours, with a GET."""
        return RedirectResponse(self._root + path, HTTPStatus.SEE_OTHER)

    def render(self, template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
        text = self._templates.get_template(template).render(values)
        return HTMLResponse(text, status, headers=_HEADERS)

    def for_people(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint; a browser that is not admitted gets a page with the reason, or the login.

        Clients that do not accept HTML get the problem document.
        """

        async def answered(request: Request) -> Response:
            try:
                return await endpoint(request)
            except Problem as problem:
                if not _wants_page(request) or problem.status_code not in _MET_BY_PEOPLE:
                    raise
                if problem.status_code == HTTPStatus.UNAUTHORIZED:
                    return self.redirect("/login?ended")
                return self.render("refused.html", problem.status_code, why=problem.detail)

        return answered

    def told(self, handler: HTTPExceptionHandler) -> HTTPExceptionHandler:
        """The handler of an error; a browser gets a page in place of its problem document."""

        async def answered(request: Request, error: Exception) -> Response:
            answer = await _answer_of(handler, request, error)
            if not _wants_page(request) or isinstance(answer, LastResponse):
                return answer
            problem = orjson.loads(answer.body)
            why = problem.get("detail") or _PLAINLY.get(
                HTTPStatus(answer.status_code), problem["title"]
            )
            page = self.render("refused.html", answer.status_code, why=why)
            kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            page.headers.update(kept)
            return page

        return answered


async def _answer_of(handler: HTTPExceptionHandler, request: Request, error: Exception) -> Response:
    answer = handler(request, error)
    return await answer if isawaitable(answer) else answer


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _contained(value: Any) -> Any:
    """The text for one place of a page: of a maximum length, and without effect on what follows."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    return contained(text)


def _whole(text: str) -> Markup:
    """The text as it is: of a message, which has a maximum length of its own, or of a form."""
    return escape(text)


async def read_form(
    request: Request, most: int = _FORM_BYTES, fields: int = _FORM_FIELDS
) -> dict[str, str]:
    """The fields of a form as browsers send it, the last of each name; a 400 Problem if many.

    `most` is how many bytes it may have, `fields` how many fields.
    """
    announced = request.headers.get("content-length")
    body = await read_body(request.receive, most, announced)
    try:
        found = parse_qs(body.decode("utf-8", "replace"), max_num_fields=fields)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The form has more than {fields} fields") from error
    return {name: values[-1] for name, values in found.items()}
