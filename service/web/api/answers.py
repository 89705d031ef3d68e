"""What every part of the API reads and answers: JSON bodies, one object, or a page of a list."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.domain.model import JSON_OPTIONS
from service.web.problems import Problem
from service.web.request_body import read_body

NOTHING = "There is nothing of this id"
_BODY_BYTES = 16 * 1024


async def said(request: Request) -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty one. Raises a 400 Problem."""
    announced = request.headers.get("content-length")
    return _object(await read_body(request.receive, _BODY_BYTES, announced))


def _object(body: bytes) -> dict[str, Any]:
    try:
        read = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "The body is not a JSON object")
    return read


def by_id(rows: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any] | None:
    return next((row for row in rows if row["id"] == wanted), None)


def found(row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The row; raises a 404 Problem if there is none."""
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, NOTHING)
    return row


def page(rows: Sequence[Mapping[str, Any]], after: str | None, **more: Any) -> Response:
    """A page of a list; `more` are members beside the usual ones."""
    return answer({"data": rows, "next": after, **more})


def answer(document: Mapping[str, Any], status: int = HTTPStatus.OK) -> Response:
    """The document as JSON; the values of conditions that JSON does not have are texts."""
    body = orjson.dumps(document, option=JSON_OPTIONS, default=str)
    return Response(body, status, media_type="application/json")
