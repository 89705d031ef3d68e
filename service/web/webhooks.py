"""Webhook endpoint: verifies and stores a request before answering."""

import asyncio
import codecs
import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

import orjson
from starlette.types import Receive, Scope, Send

from service import metrics
from service.clock import Clock
from service.errors import PayloadError
from service.http.compression import TooLarge, can_be_read, is_packed, unpacked
from service.http.json_body import TooManyValues, aside, decoded, is_utf8
from service.http.signatures import Headers, NotGenuine
from service.sources.account import Account, HookOptions
from service.sources.payload import without_secrets
from service.store.receipts import (
    Backlogged,
    NotKept,
    Receipt,
    ReceiptKeeper,
    body_key,
    sender_key,
)
from service.telemetry import tracing
from service.web.problems import Problem, come_again
from service.web.request_body import BodyBudget
from service.web.this_machine import is_from_other_site, why_not_local

BODY_BYTES = 1024 * 1024
# Of all bodies together that are still coming in: slow senders must not fill the memory.
COMING_BYTES = 64 * BODY_BYTES
# What a receipt remembers of its request. No header that proves or unlocks anything is here.
KEPT_HEADERS = frozenset(
    {
        b"content-type",
        b"user-agent",
        b"webhook-id",
        b"webhook-timestamp",
        b"x-event",
        b"x-event-type",
        b"x-github-delivery",
        b"x-github-event",
        b"x-plannr-event",
    }
)
KEPT_HEADER_BYTES = 300
_TYPE_ENDS = re.compile(rb"[;,\s]")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]{1,30})", re.IGNORECASE)

_SENDERS = 32  # of whose headers it is kept what they mean; a header has up to 64 kB

# Written in steps of Python, which take time that grows with the square of a body.
_FOR_NAMES_OF_HOSTS = frozenset({"idna", "punycode"})

# The words of `outcome` in taskbell_receipts_total.
ACCEPTED = "accepted"
_REFUSED = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.UNAUTHORIZED: "not_genuine",
    HTTPStatus.REQUEST_TIMEOUT: "too_slow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "malformed",
    HTTPStatus.TOO_MANY_REQUESTS: "backlogged",
    HTTPStatus.SERVICE_UNAVAILABLE: "not_kept",
}
OUTCOMES = frozenset({ACCEPTED, *_REFUSED.values()})
_CLOSED = (
    "This account accepts no webhooks."
    " Add webhook: { verify: …, secret: … } to it in the configuration"
)
_ONLY_HERE = (
    "Webhooks of this account are not verified, and are accepted from this machine only."
    " Add webhook: { verify: …, secret: … } to it, or set TASKBELL_OPEN_DOOR=1"
)


class WebhookEndpoint:
    """Receives the webhooks of all accounts; a plain ASGI application, for speed."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        keeper: ReceiptKeeper,
        clock: Clock,
        *,
        unverified_from_anywhere: bool = False,
    ) -> None:
        self._options = {name: one.webhook for name, one in accounts.items()}
        self._unverified_from_anywhere = unverified_from_anywhere
        # All outcomes are shown as 0 from the beginning: a first rise out of nothing is no rise.
        self._outcomes = {
            name: {outcome: metrics.receipts.labels(name, outcome) for outcome in OUTCOMES}
            for name in accounts
        }
        self._keeper = keeper
        self._clock = clock
        self._room = BodyBudget(COMING_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        account = scope["path_params"]["account"]
        options = self._opened(account, scope)
        try:
            receipt = await self._keep(account, options, dict(scope["headers"]), receive)
        except Problem as problem:
            outcome = _REFUSED[HTTPStatus(problem.status_code)]
            self._outcomes[account][outcome].inc()
            raise
        self._outcomes[account][ACCEPTED].inc()
        tracing.describe(account=account, receipt=receipt)
        await _accept(receipt, send)

    def _opened(self, account: str, scope: Scope) -> HookOptions:
        """How webhooks of the account are verified; raises Problem if it accepts none."""
        if account not in self._options:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no account with this name")
        options = self._options[account]
        if options is None:
            raise Problem(HTTPStatus.NOT_FOUND, _CLOSED)
        is_open = options.is_signed or self._unverified_from_anywhere
        if not is_open:
            _demand_nearness(scope)
        return options

    async def _keep(
        self, account: str, options: HookOptions, headers: Headers, receive: Receive
    ) -> int:
        now = self._clock.now()
        _check_type(headers)
        body = await self._room.read(receive, BODY_BYTES, headers.get(b"content-length"))
        try:
            options.scheme.verify(options.keys, headers, body, now)
        except NotGenuine as error:
            challenge = {"WWW-Authenticate": options.verify}
            raise Problem(HTTPStatus.UNAUTHORIZED, str(error), headers=challenge) from error
        if is_packed(body):
            body = await asyncio.to_thread(_unpacked, body)
        identity = (account, _key(options, headers, body))
        kept = await aside(len(body), _to_keep, headers, body)
        try:
            receipt = Receipt(identity, kept, _kept(headers), now, tracing.current())
            return await self._keeper.keep(receipt)
        except Backlogged as error:
            raise come_again(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from error
        except NotKept as error:
            raise come_again(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error


def _demand_nearness(scope: Scope) -> None:
    why_not = why_not_local(scope)
    if why_not is None and is_from_other_site(scope):
        why_not = "this request was sent by a page of another site"
    if why_not is not None:
        raise Problem(HTTPStatus.FORBIDDEN, f"{_ONLY_HERE} ({why_not})")


def _check_type(headers: Headers) -> None:
    wrong = _wrong_type(headers.get(b"content-type", b""), headers.get(b"content-encoding", b""))
    if wrong is not None:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, wrong)


# A sender says the same each time.
@lru_cache(_SENDERS)
def _wrong_type(content_type: bytes, encoding: bytes) -> str | None:
    # Some proxies write it twice, with a comma between; some senders forget the semicolon.
    given = _TYPE_ENDS.split(content_type.strip(), maxsplit=1)[0].lower()
    if given not in {b"application/json", b"text/json"} and not given.endswith(b"+json"):
        return "Send the body with Content-Type: application/json"
    if not can_be_read(encoding.decode("latin-1")):
        return "Send the body uncompressed, or packed with gzip"
    return None


def _unpacked(body: bytes) -> bytes:
    """The body, decompressed. The signature is of the body as it was sent."""
    try:
        return unpacked(body, BODY_BYTES)
    except TooLarge as error:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body: {error}") from error
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body cannot be read: {error}") from error


def _to_keep(headers: Headers, body: bytes) -> bytes:
    """The body as it is stored: in UTF-8, and without secrets; raises Problem.

    A body that no JSON parser accepts is refused. JSON that is no task is rejected later, by
    ingest.
    """
    try:
        return without_secrets(_json(_transcoded(headers, body)))
    except TooManyValues as error:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body: {error}") from error
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}") from error
    except PayloadError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The body cannot be kept: {error}") from error


def _json(body: bytes) -> bytes:
    content = decoded(body)
    return body if is_utf8(body) else orjson.dumps(content)


def _transcoded(headers: Headers, body: bytes) -> bytes:
    """The body in UTF-8, if its Content-Type names another character set; raises ValueError."""
    name = _charset(headers.get(b"content-type", b""))
    try:
        return body if name is None else body.decode(name).encode()
    except LookupError:  # some of Python's codecs read no text
        return body


@lru_cache(_SENDERS)
def _charset(content_type: bytes) -> str | None:
    """The character set that it names, if it exists and is not one of Unicode's."""
    found = _CHARSET.search(content_type)
    try:
        name = codecs.lookup(found[1].decode("latin-1")).name if found else "utf-8"
    except LookupError:
        return None
    return None if name.startswith("utf") or name in _FOR_NAMES_OF_HOSTS else name


def _key(options: HookOptions, headers: Headers, body: bytes) -> str:
    """A key that identifies a webhook, made only of signed parts."""
    name = options.scheme.message_id(headers, body)
    return body_key(body) if name is None else sender_key(name)


def _kept(headers: Headers) -> dict[str, str]:
    """The headers that are stored; PostgreSQL stores any text except NUL."""
    return {
        name.decode(): headers[name][:KEPT_HEADER_BYTES].decode("latin-1").replace("\0", "")
        for name in KEPT_HEADERS
        if name in headers
    }


async def _accept(receipt: int, send: Send) -> None:
    body = b'{"receipt":%d}' % receipt
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": HTTPStatus.ACCEPTED, "headers": headers})
    await send({"type": "http.response.body", "body": body})
