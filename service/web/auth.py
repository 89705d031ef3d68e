"""Authentication: admin token, or local requests."""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import TypeAlias
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from service.clock import Clock
from service.settings import Settings
from service.store import Pool, sessions
from service.web.limits.login_throttle import LoginThrottle
from service.web.problems import Problem
from service.web.this_machine import is_from_other_site, why_not_local

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

COOKIE = "taskbell_session"
SESSION = timedelta(days=7)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_ID_BYTES = 32


class Guard:
    """Admits requests with the token or a session; without a token, those from this machine.

    Sessions are stored in the database, as digests that depend on the token: a new token ends them
    all.

    `url` is the address of the page, if it is known.
    """

    def __init__(self, settings: Settings, pool: Pool, clock: Clock) -> None:
        token = settings.taskbell_admin_token
        self._token = None if token is None else token.get_secret_value().encode()
        self.url = settings.taskbell_url
        self._own_host = urlsplit(settings.taskbell_url or "").netloc
        self._pool = pool
        self._clock = clock
        self._attempts = LoginThrottle(clock)

    @property
    def has_token(self) -> bool:
        """Whether there is a login."""
        return self._token is not None

    def signed(self, what: str) -> str:
        """The key of a secret address of ours; without a token it proves nothing."""
        return hmac.digest(self._token or b"", f"address:{what}".encode(), sha256).hex()

    def admit_by_key(self, request: Request, what: str) -> None:
        """Raise Problem unless the request has the key that is `signed` for this address."""
        self.admit_by_link(request)
        given = request.query_params.get("key", "").encode()
        if self._token is None or hmac.compare_digest(given, self.signed(what).encode()):
            return
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "This address is incomplete or no longer valid. Copy it again from the Taskbell page",
        )

    def protects(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint for admitted requests; others get a 401, 403 or 429 problem."""

        async def guarded(request: Request) -> Response:
            await self.admit(request)
            return await endpoint(request)

        return guarded

    def admit_by_link(self, request: Request) -> None:
        """Raise Problem unless a request with a link or form of its own may be answered."""
        if request.method not in _READING and is_from_other_site(request.scope, self._own_host):
            raise Problem(HTTPStatus.FORBIDDEN, "This came from a page of another site")
        if self._token is None:
            _demand_this_machine(request)

    async def admit(self, request: Request) -> None:
        """Raise Problem unless the request may be answered."""
        self.admit_by_link(request)
        if self._token is None or await self._has_session(request):
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_right(request, given.strip().encode("latin-1")):
            return
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "Send the admin token as Authorization: Bearer TOKEN",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def begin_session(self, request: Request, token: str, response: Response) -> bool:
        """Start a browser session if the token is right; False if it is not.

        Raises a 429 Problem after too many wrong tokens.
        """
        if not self._is_right(request, token.encode()):
            return False
        name, now = secrets.token_urlsafe(_ID_BYTES), self._clock.now()
        await sessions.begin(self._pool, self._key(name), now + SESSION, now)
        response.set_cookie(
            COOKIE,
            name,
            max_age=int(SESSION.total_seconds()),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return True

    async def end_session(self, request: Request, response: Response) -> None:
        """End the session: its cookie is no longer valid."""
        await sessions.end(self._pool, self._key(request.cookies.get(COOKIE, "")))
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def _is_right(self, request: Request, token: bytes) -> bool:
        address = request.client.host if request.client else ""
        self._attempts.demand_room(address)
        is_right = self._token is not None and hmac.compare_digest(token, self._token)
        (self._attempts.right if is_right else self._attempts.wrong)(address)
        return is_right

    async def _has_session(self, request: Request) -> bool:
        name = request.cookies.get(COOKIE)
        if not name:
            return False
        return await sessions.is_open(self._pool, self._key(name), self._clock.now())

    def _key(self, name: str) -> bytes:
        return hmac.digest(self._token or b"", f"session:{name}".encode(), sha256)


def _demand_this_machine(request: Request) -> None:
    why_not = why_not_local(request.scope)
    if why_not is not None:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "Without TASKBELL_ADMIN_TOKEN this is open only to http://127.0.0.1 on this machine:"
            f" {why_not}",
        )
