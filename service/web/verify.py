"""Whether a webhook comes from who it says: the signature schemes in use, each a few lines.

Sources: Standard Webhooks 1.0; GitHub's and Slack's documents on signed requests; Plannr signs
the raw body alone. Everything is compared as bytes and in constant time, so that no header,
however malformed, can do more than not match.
"""

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeAlias

from service.errors import TaskbellError
from service.sources.account import HookOptions

TOLERANCE = timedelta(minutes=5)
# More digits than any date has; longer ones are not worth reading as a number.
_TIMESTAMP_DIGITS = 12

Headers: TypeAlias = Mapping[bytes, bytes]
"""Header values as they came, by their names in lower case."""

Scheme: TypeAlias = Callable[[tuple[bytes, ...], Headers, bytes, datetime], None]


class NotGenuine(TaskbellError):
    """The webhook is not proved to come from its sender; says what was wrong, not what is right."""


def verify(options: HookOptions, headers: Headers, body: bytes, now: datetime) -> None:
    """Raise NotGenuine unless the webhook is signed with one of the account's secrets."""
    _SCHEMES[options.verify](options.keys, headers, body, now)


def _plannr(keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
    """X-Signature: hex of HMAC-SHA256 of the body. There is no timestamp to check."""
    del now
    given = _header(headers, b"x-signature").lower()
    _one_of([given], [_hex(key, body) for key in keys])


def _github(keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
    del now
    given = _header(headers, b"x-hub-signature-256").lower()
    _one_of([given], [b"sha256=" + _hex(key, body) for key in keys])


def _slack(keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
    given = _header(headers, b"x-slack-signature").lower()
    timestamp = _fresh(_header(headers, b"x-slack-request-timestamp"), now)
    signed = b"v0:%b:%b" % (timestamp, body)
    _one_of([given], [b"v0=" + _hex(key, signed) for key in keys])


def _standard(keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
    """A list of signatures is given while the sender replaces its secret; one must match."""
    given = _header(headers, b"webhook-signature").split()
    timestamp = _fresh(_header(headers, b"webhook-timestamp"), now)
    signed = b"%b.%b.%b" % (_header(headers, b"webhook-id"), timestamp, body)
    _one_of(given, [b"v1," + b64encode(_digest(key, signed)) for key in keys])


def _token(keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
    del body, now
    if b"x-webhook-token" in headers:
        given = _header(headers, b"x-webhook-token")
    else:
        scheme, _, given = _header(headers, b"authorization").partition(b" ")
        if scheme.lower() != b"bearer":
            raise NotGenuine("Authorization is not of the form Bearer TOKEN")
    _one_of([given.strip()], keys)


def _none(keys: tuple[bytes, ...], headers: Headers, body: bytes, now: datetime) -> None:
    del keys, headers, body, now


_SCHEMES: Mapping[str, Scheme] = {
    "plannr": _plannr,
    "standard": _standard,
    "github": _github,
    "slack": _slack,
    "token": _token,
    "none": _none,
}


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
    """Compare all with all: how long it takes must not tell which one nearly matched."""
    matches = [hmac.compare_digest(one, other) for one in given for other in right]
    if not any(matches):
        raise NotGenuine("The signature or token is not the right one")


def _digest(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, sha256)


def _hex(key: bytes, signed: bytes) -> bytes:
    return _digest(key, signed).hex().encode()
