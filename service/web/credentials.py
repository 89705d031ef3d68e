"""The credentials in force: the admin token, and the passwords of the users."""

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from http import HTTPStatus

from service.config.users import User, key_of
from service.domain.actors import Actor, Role
from service.settings import passwords
from service.web.problems import Problem

TOKEN = Actor("the admin token", Role.ADMIN)
# Each check takes 64 MiB of memory, and a core for a tenth of a second.
_AT_ONCE = 2
_WAITING = 50


class Credentials:
    """Identifies users, and signs what belongs to them.

    A signature depends on the token, or on the name, the role and the password: when one of these
    changes, all that was signed with it is invalid.
    """

    def __init__(self, token: bytes | None, users: Mapping[str, User]) -> None:
        self._token = token
        self._users = users
        self._secrets = {Actor(user.name, user.role): _secret(user) for user in users.values()} | (
            {} if token is None else {TOKEN: token}
        )
        self._checking = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    def __bool__(self) -> bool:
        """Whether there are any; without, nobody can be told from anybody else."""
        return bool(self._secrets)

    @property
    def has_users(self) -> bool:
        return bool(self._users)

    def of_token(self, given: bytes) -> Actor | None:
        """The admin, if this is the token."""
        is_right = self._token is not None and hmac.compare_digest(given, self._token)
        return TOKEN if is_right else None

    def name_of(self, written: str) -> str | None:
        """The name of a user as the configuration has it; None if there is no such user."""
        user = self._users.get(key_of(written))
        return None if user is None else user.name

    async def of_password(self, name: str, password: str) -> Actor | None:
        """The user with this name and password; raises a 503 Problem if too many are being checked.

        An unknown name takes as long as a known one: the password of another user is checked.
        """
        if not self._users:
            return None
        user = self._users.get(key_of(name))
        checked = user or next(iter(self._users.values()))
        is_right = await self._check(password, checked.hash.get_secret_value())
        return Actor(user.name, user.role) if user is not None and is_right else None

    def signatures(self, of: str) -> dict[bytes, Actor]:
        """What everybody would sign this with."""
        return {_sign(secret, of): actor for actor, secret in self._secrets.items()}

    def signature(self, of: str, by: Actor) -> bytes:
        """The user's signature of this; without credentials it proves nothing."""
        return _sign(self._secrets.get(replace(by, address=""), b""), of)

    async def _check(self, password: str, of: str) -> bool:
        if self._waiting >= _WAITING:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Too many people are signing in at once; try again soon",
                headers={"Retry-After": "5"},
            )
        self._waiting += 1
        try:
            async with self._checking:
                return await asyncio.to_thread(passwords.is_right, password, of)
        finally:
            self._waiting -= 1


def _secret(user: User) -> bytes:
    parts = (user.name, user.role, user.hash.get_secret_value())
    return sha256("\n".join(parts).encode()).digest()


def _sign(secret: bytes, what: str) -> bytes:
    return hmac.digest(secret, what.encode(), sha256)
