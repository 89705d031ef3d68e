"""The door: webhooks come in, are checked, kept, and only then answered."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import metrics
from service.clock import Clock
from service.sources import Account, WebhookOptions
from service.store.receipts import (
    Backlogged,
    NotKept,
    Receipt,
    ReceiptKeeper,
    body_key,
    sender_key,
)
from service.web.problems import Problem, come_again
from service.web.verify import NotGenuine, verify

BODY_BYTES = 1024 * 1024
# What a receipt remembers of its request. No header that proves or unlocks anything is here.
KEPT_HEADERS = frozenset(
    {
        "content-type",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "x-event",
        "x-event-type",
        "x-github-delivery",
        "x-github-event",
        "x-plannr-event",
    }
)
KEPT_HEADER_LENGTH = 300

# The words of `outcome` in taskbell_receipts_total.
_OUTCOMES = {
    HTTPStatus.BAD_REQUEST: "not_json",
    HTTPStatus.UNAUTHORIZED: "not_genuine",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "not_json",
    HTTPStatus.TOO_MANY_REQUESTS: "backlogged",
    HTTPStatus.SERVICE_UNAVAILABLE: "not_kept",
}
_OPEN_DOOR = WebhookOptions()


class Door:
    """Takes in the webhooks of all accounts."""

    def __init__(
        self, accounts: Mapping[str, Account], keeper: ReceiptKeeper, clock: Clock
    ) -> None:
        self._options = {name: one.webhook or _OPEN_DOOR for name, one in accounts.items()}
        self._keeper = keeper
        self._clock = clock

    def routes(self) -> list[Route]:
        return [Route("/hooks/{account}", self.receive, methods=["POST"])]

    async def receive(self, request: Request) -> Response:
        account = request.path_params["account"]
        if account not in self._options:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no account of this name")
        try:
            kept = await self._keep(account, request)
        except Problem as problem:
            outcome = _OUTCOMES[HTTPStatus(problem.status_code)]
            metrics.receipts.labels(account, outcome).inc()
            raise
        metrics.receipts.labels(account, "accepted").inc()
        return Response(
            b'{"receipt":%d}' % kept, HTTPStatus.ACCEPTED, media_type="application/json"
        )

    async def _keep(self, account: str, request: Request) -> int:
        options, now = self._options[account], self._clock.now()
        _check_type(request.headers)
        body = await _read(request)
        try:
            verify(options, request.headers, body, now)
        except NotGenuine as error:
            challenge = {"WWW-Authenticate": options.verify}
            raise Problem(HTTPStatus.UNAUTHORIZED, str(error), headers=challenge) from error
        _check_json(body)
        key = _key(options, request.headers, body)
        receipt = Receipt(account, key, body, _kept(request.headers), now)
        try:
            return await self._keeper.keep(receipt)
        except Backlogged as error:
            raise come_again(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from error
        except NotKept as error:
            raise come_again(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error


def _check_type(headers: Headers) -> None:
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in {"application/json", "text/json"} and not given.endswith("+json"):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body with Content-Type: application/json"
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body uncompressed")


async def _read(request: Request) -> bytes:
    """The body, of which no more is read than may come; its announced length proves nothing."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES:
            # Closing the connection saves reading the rest.
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body is larger than {BODY_BYTES} bytes",
                headers={"Connection": "close"},
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _check_json(body: bytes) -> None:
    """Refuse what no JSON reader takes; what is JSON but no task is set aside later, by ingest."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}") from error


def _key(options: WebhookOptions, headers: Headers, body: bytes) -> str:
    if options.verify == "standard":
        return sender_key(headers["webhook-id"].encode("latin-1"))
    return body_key(body)


def _kept(headers: Headers) -> dict[str, str]:
    return {
        name: "".join(filter(str.isprintable, value))[:KEPT_HEADER_LENGTH]
        for name, value in headers.items()
        if name in KEPT_HEADERS
    }
