"""Passwords of people: their argon2 hashes, made, read and compared."""

import re
from base64 import b64decode
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.diagnostics import refused

SHORTEST = 12  # characters
_HINT = "`taskbell user add NAME` makes one"
_HASHER = PasswordHasher()  # RFC 9106: 64 MiB, three passes; about 0.1 s
_FORM = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)
# What one sign-in may cost: memory in KiB, memory times passes, threads.
_MOST_MEMORY, _MOST_WORK, _MOST_THREADS = 256 * 1024, 1024 * 1024, 16


def hashed(password: str) -> str:
    """The argon2id hash of a password, with a new salt. Takes a while."""
    return _HASHER.hash(_written(password))


def is_right(password: str, of: str) -> bool:
    """Whether this is the password of a hash; takes as long if it is not, and blocks."""
    try:
        return _HASHER.verify(of, _written(password))
    except (InvalidHashError, VerificationError):
        return False


def demand_long(password: str) -> None:
    """Raise ValueError if the password is too short."""
    if len(password) < SHORTEST:
        raise refused(f"the password must have at least {SHORTEST} characters")


def demand_hash(text: str) -> None:
    """Raise ValueError unless this is an argon2id hash that can be checked at each sign-in."""
    found = _FORM.fullmatch(text)
    if found is None or not all(map(_is_base64, found.groups()[3:])):
        raise refused("password must be an argon2id hash, not the password itself", _HINT)
    memory, passes, threads = map(int, found.groups()[:3])
    if memory > _MOST_MEMORY or memory * passes > _MOST_WORK or threads > _MOST_THREADS:
        raise refused("to check this hash takes too much memory or time", _HINT)
    if memory < 8 * threads or not passes or not threads:
        raise refused("no password can have this hash: its m, t or p is too small", _HINT)


def _written(password: str) -> bytes:
    """The password as bytes; keyboards write the same letter in two ways."""
    return normalize("NFC", password).encode("utf-8", "surrogatepass")


def _is_base64(text: str) -> bool:
    try:
        return bool(b64decode(text + "=" * (-len(text) % 4), validate=True))
    except ValueError:
        return False
