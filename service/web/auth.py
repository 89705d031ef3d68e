"""Admission of requests: who asks, from where, and whether their role allows it."""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from service.clock import Clock
from service.config.users import NOBODY, User, key_of
from service.domain.actors import Actor, Role
from service.settings import Settings
from service.store import Pool
from service.store.operators import changes, sessions
from service.web.credentials import TOKEN, Credentials
from service.web.limits.login_throttle import LoginThrottle
from service.web.problems import Problem
from service.web.this_machine import is_from_other_site, why_not_local

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

COOKIE = "taskbell_session"
SESSION = timedelta(days=7)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_ID_BYTES = 32
_LONGEST_NAME = 100  # characters
_SOMEBODY_HERE = Actor("someone on this machine", Role.ADMIN)
_SOMEBODY = "someone"
_NO_USER = "an unknown name"


def actor_of(request: Request) -> Actor:
    """Who sent a request that was admitted."""
    actor: Actor = request.state.actor
    return actor


def address_of(request: Request) -> str:
    """The address that a request comes from, as the server works it out behind a proxy."""
    host = request.client.host if request.client else ""
    try:
        return str(ip_address(host))
    except ValueError:
        return "an unknown address"


class Guard:
    """Admits requests with a session or the admin token; without either, those from this machine.

    A request needs a role: a viewer's to read, an operator's for everything else, or what its route
    says. Sessions are stored in the database, as digests that depend on the credentials.

    `url` is the address of the page, if it is known.
    """

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        clock: Clock,
        users: Mapping[str, User] = NOBODY,
        attempts: LoginThrottle | None = None,
    ) -> None:
        token = settings.taskbell_admin_token
        self._settings = settings
        self._token = None if token is None else token.get_secret_value().encode()
        self._credentials = Credentials(self._token, users)
        self.url = settings.taskbell_url
        self._own_host = urlsplit(settings.taskbell_url or "").netloc
        self._pool = pool
        self._clock = clock
        self._attempts = attempts or LoginThrottle(clock)

    def for_users(self, users: Mapping[str, User]) -> "Guard":
        """This guard with the users of a configuration; failed logins are counted together."""
        return Guard(self._settings, self._pool, self._clock, users, self._attempts)

    @property
    def has_login(self) -> bool:
        """Whether everybody has to sign in."""
        return bool(self._credentials)

    @property
    def has_users(self) -> bool:
        return self._credentials.has_users

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def signed(self, what: str, by: Actor) -> str:
        """The user's own key for a secret address; without credentials it proves nothing."""
        return self._credentials.signature(f"address:{what}", by).hex()

    def admit_by_key(self, request: Request, what: str) -> None:
        """Raise Problem unless the request has a key that is `signed` for this address."""
        self.admit_by_link(request)
        given = request.query_params.get("key", "").encode()
        keys = [key.hex().encode() for key in self._credentials.signatures(f"address:{what}")]
        if not self.has_login or any(hmac.compare_digest(given, key) for key in keys):
            return
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "This address is incomplete or no longer valid. Copy it again from the Taskbell page",
        )

    def protects(self, endpoint: Endpoint, needs: Role | None = None) -> Endpoint:
        """The endpoint for admitted requests; others get a 401, 403 or 429 problem."""

        async def guarded(request: Request) -> Response:
            await self.admit(request, needs)
            return await endpoint(request)

        return guarded

    def admit_by_link(self, request: Request) -> None:
        """Raise Problem unless a request with a link or form of its own may be answered."""
        if request.method not in _READING and is_from_other_site(request.scope, self._own_host):
            raise Problem(HTTPStatus.FORBIDDEN, "This came from a page of another site")
        if self._token is None:
            _demand_this_machine(request)

    async def admit(self, request: Request, needs: Role | None = None) -> None:
        """Raise Problem unless the request may be answered; `actor_of` then says whose it is."""
        self.admit_by_link(request)
        actor = await self._identified(request)
        needed = needs or (Role.VIEWER if request.method in _READING else Role.OPERATOR)
        if not actor.role.includes(needed):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"You may look at everything, but not decide: your role is {actor.role}, and this"
                f" needs the role {needed}",
            )
        request.state.actor = replace(actor, address=address_of(request))

    async def sign_in_by_token(self, request: Request, token: str) -> Actor | None:
        """The admin, if the token is right. Raises a 429 Problem after too many wrong ones."""
        return await self._by_token(request, token.encode())

    async def sign_in_by_password(self, request: Request, name: str, password: str) -> Actor | None:
        """The user with this name and password, if there is one; raises as `sign_in_by_token`."""
        address, key = address_of(request), key_of(name)[:_LONGEST_NAME]
        self._attempts.demand_room(address, key)
        # It counts before it is checked: else many at once would all find room.
        self._attempts.wrong(address, key)
        actor = await self._credentials.of_password(key, password)
        if actor is None:
            await self._note_guess(address, self._credentials.name_of(key) or _NO_USER)
            return None
        self._attempts.take_back(address, key)
        self._attempts.right(address)
        return actor

    async def begin_session(self, request: Request, actor: Actor, response: Response) -> None:
        """Start a browser session for a user who signed in."""
        name, now = secrets.token_urlsafe(_ID_BYTES), self._clock.now()
        key = self._credentials.signature(f"session:{name}", actor)
        actor = replace(actor, address=address_of(request))
        await sessions.begin(self._pool, key, actor, now + SESSION, now)
        response.set_cookie(
            COOKIE,
            name,
            max_age=int(SESSION.total_seconds()),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )

    async def end_session(self, request: Request, response: Response) -> None:
        """End the session: its cookie is no longer valid."""
        actor, name = actor_of(request), request.cookies.get(COOKIE, "")
        key = self._credentials.signature(f"session:{name}", actor)
        await sessions.end(self._pool, key, actor, self._clock.now())
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    async def _identified(self, request: Request) -> Actor:
        if not self.has_login:
            return _SOMEBODY_HERE
        actor = await self._of_session(request)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if actor is None and scheme.lower() == "bearer":
            actor = await self._by_token(request, given.strip().encode("latin-1"))
        if actor is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "Send the admin token as Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return actor

    async def _by_token(self, request: Request, token: bytes) -> Actor | None:
        address = address_of(request)
        self._attempts.demand_room(address)
        actor = self._credentials.of_token(token)
        if actor is None:
            self._attempts.wrong(address)
            await self._note_guess(address, TOKEN.name)
        else:
            self._attempts.right(address)
        return actor

    async def _note_guess(self, address: str, whose: str) -> None:
        """Whose name was given is not stored if it is nobody's: it may be a password."""
        somebody = Actor(_SOMEBODY, address=address)
        await changes.record_guess(self._pool, somebody, whose, self._clock.now())

    async def _of_session(self, request: Request) -> Actor | None:
        name = request.cookies.get(COOKIE)
        if not name:
            return None
        owners = self._credentials.signatures(f"session:{name}")
        key = await sessions.find(self._pool, owners, self._clock.now())
        return None if key is None else owners[key]


def _demand_this_machine(request: Request) -> None:
    why_not = why_not_local(request.scope)
    if why_not is not None:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "Without TASKBELL_ADMIN_TOKEN this is open only to http://127.0.0.1 on this machine:"
            f" {why_not}",
        )
