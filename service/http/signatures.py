"""Verifies the signatures of webhooks; one class per scheme.

A scheme is added by adding its class here: configuration, schema and endpoint find it by its name.
Sources: Standard Webhooks 1.0; GitHub's and Slack's documents on signed requests; Plannr signs the
raw body alone. Everything is compared as bytes and in constant time, so that a malformed header can
only fail to match.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import ClassVar, TypeAlias

from service.errors import TaskbellError
from service.settings import keys

TOLERANCE = timedelta(minutes=5)
# More digits than any date has; longer ones are not worth reading as a number.
_TIMESTAMP_DIGITS = 12

Headers: TypeAlias = Mapping[bytes, bytes]
"""Header values as they came, by their names in lower case."""


class NotGenuine(TaskbellError):
    """The webhook's origin is not proved; says what was wrong, not what would be right."""


class SignatureScheme:
    """How senders of one kind sign webhooks. `name` is the name in the configuration."""

    name: ClassVar[str]

    def key(self, secret: str) -> bytes:
        """The key of a configured secret; ValueError if it has none."""
        return secret.encode()

    def verify(self, keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
        """Raise NotGenuine unless the webhook is signed with one of these keys; `now` is UTC."""
        raise NotImplementedError

    def message_id(self, headers: Headers, body: bytes) -> bytes | None:
        """A unique id of the webhook, from its signed parts; None: only its body identifies it."""
        del headers, body
        return None


class PlannrScheme(SignatureScheme):
    """X-Signature: hex of HMAC-SHA256 of the body. There is no timestamp to check."""

    name = "plannr"

    def verify(self, keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
        del now
        given = _header(headers, b"x-signature").lower()
        _one_of([given], [_hex(key, body) for key in keys])


class StandardScheme(SignatureScheme):
    """Standard Webhooks. There are several signatures while the sender replaces its secret."""

    name = "standard"

    def key(self, secret: str) -> bytes:
        return keys.standard_key(secret)

    def verify(self, keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
        given = _header(headers, b"webhook-signature").split()
        timestamp = _fresh(_header(headers, b"webhook-timestamp"), now)
        signed = b"%b.%b.%b" % (_header(headers, b"webhook-id"), timestamp, body)
        _one_of(given, [b"v1," + b64encode(_digest(key, signed)) for key in keys])

    def message_id(self, headers: Headers, body: bytes) -> bytes | None:
        del body
        return headers[b"webhook-id"]


class GitHubScheme(SignatureScheme):
    """X-Hub-Signature-256: `sha256=` and the hex of HMAC-SHA256 of the body."""

    name = "github"

    def verify(self, keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
        del now
        given = _header(headers, b"x-hub-signature-256").lower()
        _one_of([given], [b"sha256=" + _hex(key, body) for key in keys])


class SlackScheme(SignatureScheme):
    """X-Slack-Signature: the body is signed together with the time."""

    name = "slack"

    def verify(self, keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
        given = _header(headers, b"x-slack-signature").lower()
        timestamp = _fresh(_header(headers, b"x-slack-request-timestamp"), now)
        signed = b"v0:%b:%b" % (timestamp, body)
        _one_of([given], [b"v0=" + _hex(key, signed) for key in keys])

    def message_id(self, headers: Headers, body: bytes) -> bytes | None:
        """The time and the body: only the sender can give the body another time."""
        return b"%b.%b" % (headers[b"x-slack-request-timestamp"], body)


class TokenScheme(SignatureScheme):
    """The secret itself, as a bearer token or in X-Webhook-Token. Nothing is signed."""

    name = "token"

    def verify(self, keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
        del body, now
        if b"x-webhook-token" in headers:
            given = _header(headers, b"x-webhook-token")
        else:
            scheme, _, given = _header(headers, b"authorization").partition(b" ")
            if scheme.lower() != b"bearer":
                raise NotGenuine("Authorization is not of the form Bearer TOKEN")
        _one_of([given.strip()], keys)


class NoScheme(SignatureScheme):
    """No signature is required."""

    name = "none"

    def verify(self, keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
        del keys, headers, body, now


@cache
def schemes() -> Mapping[str, SignatureScheme]:
    """Every scheme by its name."""
    return {scheme.name: scheme() for scheme in SignatureScheme.__subclasses__()}


def _header(headers: Headers, name: bytes) -> bytes:
    value = headers.get(name)
    if not value:
        raise NotGenuine(f"The header {name.decode()} is missing")
    return value


def _fresh(timestamp: bytes, now: datetime) -> bytes:
    """The timestamp as it was sent; NotGenuine if it is not a Unix time near to now."""
    if not timestamp.isdigit() or len(timestamp) > _TIMESTAMP_DIGITS:
        raise NotGenuine("The timestamp is not a Unix time in seconds")
    if abs(int(timestamp) - now.timestamp()) > TOLERANCE.total_seconds():
        raise NotGenuine("The timestamp is more than five minutes from now")
    return timestamp


def _one_of(given: Iterable[bytes], right: Iterable[bytes]) -> None:
    """Compare all with all: the duration must not reveal which one nearly matched."""
    matches = [hmac.compare_digest(one, other) for one in given for other in right]
    if not any(matches):
        raise NotGenuine("The signature or token is wrong")


def _digest(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, sha256)


def _hex(key: bytes, signed: bytes) -> bytes:
    return _digest(key, signed).hex().encode()
