"""Who may look and decide: the holder of the admin token, or whoever sits at the machine."""

import hmac
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import TypeAlias

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from service.clock import Clock
from service.web.problems import Problem
from service.web.this_machine import is_local

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

COOKIE = "taskbell_session"
SESSION = timedelta(days=7)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Admits requests with the token or a session; without a token, those from this machine."""

    def __init__(self, token: SecretStr | None, clock: Clock) -> None:
        self._token = None if token is None else token.get_secret_value().encode()
        self._clock = clock

    @property
    def has_token(self) -> bool:
        """Whether people sign in here."""
        return self._token is not None

    def protects(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint for those who are admitted; others get a 401 or 403 problem."""

        async def guarded(request: Request) -> Response:
            self.admit(request)
            return await endpoint(request)

        return guarded

    def admit_by_link(self, request: Request) -> None:
        """Raise Problem unless a request may be answered that proves itself by its link."""
        if request.method not in _READING:
            _refuse_other_sites(request)
        if self._token is None:
            _demand_this_machine(request)

    def admit(self, request: Request) -> None:
        """Raise Problem unless the request may be answered."""
        self.admit_by_link(request)
        is_known = self._has_token(request) or self._has_session(request)
        if self._token is not None and not is_known:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "Send the admin token as Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def begin_session(self, token: str, response: Response, *, secure: bool) -> bool:
        """Give the browser a session if the token is the right one; False if it is not."""
        if self._token is None or not hmac.compare_digest(token.encode(), self._token):
            return False
        expires = str(int((self._clock.now() + SESSION).timestamp()))
        response.set_cookie(
            COOKIE,
            f"{expires}.{self._sign(expires)}",
            max_age=int(SESSION.total_seconds()),
            secure=secure,
            httponly=True,
            samesite="strict",
        )
        return True

    def _has_token(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        right = self._token or b""
        return scheme.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode("latin-1"), right
        )

    def _has_session(self, request: Request) -> bool:
        expires, _, signature = request.cookies.get(COOKIE, "").partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(expires).encode()):
            return False
        return int(expires) > self._clock.now().timestamp()

    def _sign(self, expires: str) -> str:
        return hmac.digest(self._token or b"", f"session:{expires}".encode(), sha256).hex()


def _demand_this_machine(request: Request) -> None:
    if not is_local(request.scope):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "Without TASKBELL_ADMIN_TOKEN this is open only to http://127.0.0.1 on this machine",
        )


def _refuse_other_sites(request: Request) -> None:
    """A browser says which page sent a form; no page but our own may decide anything."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("//")[2] != request.headers.get("host"):
        raise Problem(HTTPStatus.FORBIDDEN, "This came from a page of another site")
