"""Secrets: their minimum length, their Standard Webhooks format, and new ones."""

import secrets
from base64 import b64decode, b64encode

from service.diagnostics import refused

SHORTEST = 16  # bytes or characters
PREFIX = "whsec_"
_HINT = "`taskbell secret` makes a good one"
_NEW_BYTES = 32


def new() -> str:
    """A secret that fits everywhere: in the Standard Webhooks format, and as a text."""
    return PREFIX + b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def demand_long(name: str, key: bytes | str) -> None:
    """Raise ValueError if the key of this name is too short."""
    if len(key) < SHORTEST:
        units = "characters" if isinstance(key, str) else "bytes"
        raise refused(f"{name} must have at least {SHORTEST} {units}, or it can be guessed", _HINT)


def standard_key(secret: str) -> bytes:
    """The key in a Standard Webhooks secret; ValueError if it has none."""
    text = secret.removeprefix(PREFIX).rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise not_standard() from None


def not_standard() -> ValueError:
    """The error for a text that is not a Standard Webhooks secret."""
    return refused(f"secret must be {PREFIX} followed by base64 text", _HINT)
