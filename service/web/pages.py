"""What all pages for people have in common: their headers, templates and forms."""

from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from service.domain.silences import described
from service.explain import account_status
from service.web import labels
from service.web.problems import Problem
from service.web.request_body import read_body

_FORM_BYTES = 4096
_FORM_FIELDS = 20
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
    """The templates, ready to be filled in; `root` is the path in front of all of ours."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._templates = Environment(
            loader=PackageLoader("service.web"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_shortened,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["root"] = root
        self._templates.globals["words"] = labels
        self._templates.globals["account_status"] = account_status
        self._templates.globals["covered"] = described
        self._templates.filters["whole"] = _whole

    def redirect(self, path: str) -> RedirectResponse:
        """To another page of ours, which is asked for anew."""
        return RedirectResponse(self._root + path, HTTPStatus.SEE_OTHER)

    def render(self, template: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(self._templates.get_template(template).render(values), headers=_HEADERS)


def _shortened(value: Any) -> Any:
    """What stands in one place of a page: a text has an end, whatever it is."""
    if not isinstance(value, str) or isinstance(value, Markup) or len(value) <= _LONGEST:
        return value
    return f"{value[:_LONGEST]}…"


def _whole(text: str) -> Markup:
    """All of a message, which has an end of its own."""
    return escape(text)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form as browsers send it, the last of each name; a 400 Problem if many."""
    announced = request.headers.get("content-length")
    body = await read_body(request.receive, _FORM_BYTES, announced)
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_FORM_FIELDS)
    except ValueError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"The form has more than {_FORM_FIELDS} fields"
        ) from error
    return {name: values[-1] for name, values in fields.items()}
